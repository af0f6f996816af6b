"""What happens on the page: each callback reads fields and jobs, and says what the page shows."""

from typing import Any

from dash import Dash, Input, Output, State, ctx, dcc, no_update

from mechdyn.app import screen
from mechdyn.app.ask import as_ask
from mechdyn.app.bench import Bench
from mechdyn.app.choices import add_choices
from mechdyn.app.export import figures, npz, snippet
from mechdyn.app.layout import FIELDS, NOTHING_YET, VIEWS
from mechdyn.errors import MechdynError
from mechdyn.heads import Head
from mechdyn.traces.trace import Trace


def add_callbacks(app: Dash, bench: Bench, *, dark: bool) -> None:
    """Bring the page to life."""
    _add_starting(app, bench)
    _add_watching(app, bench)
    _add_drawing(app, bench, dark)
    _add_sources(app, bench, dark)
    _add_comparing(app, bench, dark)
    _add_inspecting(app)
    _add_switching(app, bench)
    _add_export(app, bench, dark)
    add_choices(app, bench)


def _add_starting(app: Dash, bench: Bench) -> None:
    started = (Output("jobs", "data"), Output("error", "children"), Output("clock", "disabled"))

    @app.callback(
        *started,
        Output("off", "value"),
        Input("run", "n_clicks"),
        State("jobs", "data"),
        *(State(name, "value") for name in FIELDS),
        prevent_initial_call=True,
    )
    def run(_: int, jobs: dict[str, str], *values: Any) -> tuple[Any, ...]:
        try:
            name = bench.ask(as_ask(dict(zip(FIELDS, values, strict=True))))
        except MechdynError as error:
            return no_update, str(error), no_update, no_update
        bench.cancel(jobs.values())
        return {"clean": name}, "", False, []

    @app.callback(
        *(Output(output.component_id, output.component_property, allow_duplicate=True) for output in started),
        Input("without", "n_clicks"),
        State("jobs", "data"),
        State("off", "value"),
        prevent_initial_call=True,
    )
    def without(_: int, jobs: dict[str, str], off: list[str]) -> tuple[Any, ...]:
        try:
            name = bench.without(jobs.get("clean", ""), off or [])
        except MechdynError as error:
            return no_update, str(error), no_update
        bench.cancel([jobs.get("ablated", "")])
        return {**jobs, "ablated": name}, "", False

    @app.callback(Input("cancel", "n_clicks"), State("jobs", "data"), prevent_initial_call=True)
    def cancel(_: int, jobs: dict[str, str]) -> None:
        bench.cancel(jobs.values())


def _add_watching(app: Dash, bench: Bench) -> None:
    @app.callback(
        Output("status", "children"),
        Output("progress", "value"),
        Output("progress", "max"),
        Output("error", "children", allow_duplicate=True),
        Output("clock", "disabled", allow_duplicate=True),
        Output("cancel", "disabled"),
        Output("seen", "data"),
        Input("clock", "n_intervals"),
        Input("jobs", "data"),
        State("error", "children"),
        State("seen", "data"),
        prevent_initial_call=True,
    )
    def watch(_: int | None, jobs: dict[str, str], error: str, before: dict[str, Any]) -> tuple[Any, ...]:
        """Look at the jobs; `seen` changes when there is more to draw."""
        entries = [bench.entry(jobs.get(kind)) for kind in ("clean", "ablated")]
        latest = entries[1] or entries[0]
        if latest is None:
            return "That generation is no longer kept." if jobs else NOTHING_YET, "0", "1", error, True, True, {}
        now, limit = latest.job.snapshot, latest.new_tokens
        line = screen.status(now, len(latest.sample), limit, len(latest.off or ()))
        seen = {"jobs": jobs, "steps": [entry.job.snapshot.n_steps if entry else 0 for entry in entries], "running": not now.ended}
        progress = str(limit if now.stage == "done" else now.n_steps)
        return line, progress, str(limit), now.error or error, now.ended, now.ended, no_update if seen == before else seen


def _add_drawing(app: Dash, bench: Bench, dark: bool) -> None:
    @app.callback(
        Output("results", "hidden"),
        Output("answer", "children"),
        Output("timeline", "figure"),
        Output("timeline", "style"),
        Output("step", "max"),
        Output("step", "value"),
        Input("seen", "data"),
        Input("rows", "value"),
        State("step", "value"),
        prevent_initial_call=True,
    )
    def draw_clean(seen: dict[str, Any], rows: str, step: int) -> tuple[Any, ...]:
        """The step shown follows the newest token; later it stays where someone put it."""
        trace = _trace(bench, seen, "clean")
        if trace is None:
            return True, *[no_update] * 5
        figure, style = screen.draw_timeline(trace, rows, dark)
        newest = trace.n_steps - 1
        follows = "ablated" not in seen["jobs"] and ctx.triggered_id == "seen"
        return False, screen.answer(trace), figure, style, max(newest, 1), newest if follows or step > newest else no_update

    @app.callback(
        Output("map", "figure"),
        Output("map", "style"),
        Input("step", "value"),
        Input("off", "value"),
        Input("seen", "data"),
        prevent_initial_call=True,
    )
    def draw_map(step: int, off: list[str], seen: dict[str, Any]) -> tuple[Any, ...]:
        trace = _trace(bench, seen, "clean")
        return screen.draw_map(trace, step, off or [], dark) if trace else (no_update, no_update)


def _add_sources(app: Dash, bench: Bench, dark: bool) -> None:
    @app.callback(
        Output("looks", "hidden"),
        Output("sources", "figure"),
        Output("sources", "style"),
        Input("step", "value"),
        Input("head", "data"),
        Input("seen", "data"),
        prevent_initial_call=True,
    )
    def draw_sources(step: int, head: str | None, seen: dict[str, Any]) -> tuple[Any, ...]:
        trace = _trace(bench, seen, "clean")
        if trace is None or head is None or seen["running"]:
            return (True if head is None else no_update), no_update, no_update
        return False, *screen.draw_sources(trace, step, head, dark)


def _add_comparing(app: Dash, bench: Bench, dark: bool) -> None:
    @app.callback(
        Output("at-steps", "hidden"),
        Output("effects", "figure"),
        Output("effects", "style"),
        Input("seen", "data"),
        prevent_initial_call=True,
    )
    def draw_effects(seen: dict[str, Any]) -> tuple[Any, ...]:
        entry = bench.entry((seen or {}).get("jobs", {}).get("ablated"))
        found = entry.job.snapshot.effect if entry else None
        if entry is None or found is None:
            return True, no_update, no_update
        return False, *screen.draw_effects(found, len(entry.off or ()), dark)

    @app.callback(
        Output("ablated", "hidden"),
        Output("answer-without", "children"),
        Output("comparison", "figure"),
        Output("comparison", "style"),
        Input("seen", "data"),
        prevent_initial_call=True,
    )
    def draw_ablated(seen: dict[str, Any]) -> tuple[Any, ...]:
        clean, ablated = _trace(bench, seen, "clean"), _trace(bench, seen, "ablated")
        if clean is None or ablated is None:
            return True, *[no_update] * 3
        return False, screen.answer(ablated), *screen.draw_comparison(clean, ablated, dark)


def _add_inspecting(app: Dash) -> None:
    @app.callback(*(Output(f"view-{name}", "hidden") for name in VIEWS), Input("view", "value"))
    def show(view: str) -> list[bool]:
        return [name != view for name in VIEWS]

    @app.callback(
        Output("step", "value", allow_duplicate=True),
        Output("head", "data"),
        Output("view", "value"),
        Output("timeline", "clickData"),
        Output("map", "clickData"),
        Input("timeline", "clickData"),
        Input("map", "clickData"),
        prevent_initial_call=True,
    )
    def inspect(on_timeline: Any, on_map: Any) -> tuple[Any, ...]:
        """Look at a head. The click is taken away afterwards, else a second click on the same cell would not be told."""
        cell = screen.clicked_cell(on_timeline or on_map)
        if cell is None:
            return no_update, no_update, no_update, None, None
        head, step = cell
        return no_update if step is None else step, str(head), "step", None, None


def _add_switching(app: Dash, bench: Bench) -> None:
    @app.callback(
        Output("off", "value", allow_duplicate=True),
        Input("switch", "n_clicks"),
        State("head", "data"),
        State("off", "value"),
        prevent_initial_call=True,
    )
    def switch(_: int, head: str | None, off: list[str]) -> Any:
        return screen.toggled(off or [], Head.parse(head)) if head else no_update

    @app.callback(Output("switch", "children"), Input("head", "data"), Input("off", "value"))
    def name_switch(head: str | None, off: list[str]) -> str:
        return screen.switch(off or [], head)

    @app.callback(
        Output("off", "value", allow_duplicate=True),
        Input("add", "n_clicks"),
        Input("clear", "n_clicks"),
        State("off", "value"),
        State("step", "value"),
        State("seen", "data"),
        prevent_initial_call=True,
    )
    def add_or_clear(_: int | None, __: int | None, off: list[str], step: int, seen: dict[str, Any]) -> Any:
        if ctx.triggered_id == "clear":
            return []
        trace = _trace(bench, seen, "clean")
        if trace is None:
            return no_update
        fired = {str(head) for head in trace.heads(min(step, trace.n_steps - 1))}
        return screen.in_order({*(off or []), *fired})

    @app.callback(Output("without", "disabled"), Input("off", "value"), Input("seen", "data"))
    def may_run(off: list[str], seen: dict[str, Any]) -> bool:
        return not off or not seen or bool(seen.get("running"))


def _add_export(app: Dash, bench: Bench, dark: bool) -> None:
    @app.callback(Output("snippet", "children"), Output("download-without", "disabled"), Input("seen", "data"), prevent_initial_call=True)
    def write_snippet(seen: dict[str, Any]) -> tuple[str, bool]:
        clean, ablated = (bench.entry((seen or {}).get("jobs", {}).get(kind)) for kind in ("clean", "ablated"))
        if clean is None:
            return "", True
        return snippet(clean, ablated.off if ablated else None), ablated is None

    @app.callback(
        Output("file", "data"),
        Input("download", "n_clicks"),
        Input("download-without", "n_clicks"),
        State("seen", "data"),
        prevent_initial_call=True,
    )
    def download(_: int | None, __: int | None, seen: dict[str, Any]) -> Any:
        kind = "ablated" if ctx.triggered_id == "download-without" else "clean"
        trace = _trace(bench, seen, kind)
        if trace is None:
            return no_update
        entry = bench.entry(seen["jobs"][kind])
        return dcc.send_bytes(npz(trace, entry.job.snapshot.effect if entry else None), f"trace-{kind}.npz")

    @app.callback(
        Output("file", "data", allow_duplicate=True),
        Input("download-figures", "n_clicks"),
        State("step", "value"),
        State("seen", "data"),
        prevent_initial_call=True,
    )
    def download_figures(_: int | None, step: int, seen: dict[str, Any]) -> Any:
        clean, ablated = _trace(bench, seen, "clean"), _trace(bench, seen, "ablated")
        if clean is None:
            return no_update
        entry = bench.entry(seen["jobs"].get("ablated"))
        measured = entry.job.snapshot.effect if entry else None
        return dcc.send_string(figures(clean, ablated, measured, min(step, clean.n_steps - 1), dark=dark), "figures.html")


def _trace(bench: Bench, seen: dict[str, Any], kind: str) -> Trace | None:
    """What that generation has written so far, None before its first token."""
    entry = bench.entry((seen or {}).get("jobs", {}).get(kind))
    trace = entry.job.snapshot.trace if entry else None
    return trace if trace is not None and trace.n_steps else None
