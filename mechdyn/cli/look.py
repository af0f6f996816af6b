"""The commands that look at single samples and at finished runs: `trace`, `explore`, `report`."""

import sys
import webbrowser
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mechdyn.cli.app import app
from mechdyn.cli.options import OutOption, takes
from mechdyn.runs.configs import ExploreConfig, TraceConfig
from mechdyn.text import visible

if TYPE_CHECKING:
    from mechdyn.runs.explore import StoredSample
    from mechdyn.traces.stored import AnyTrace

_LISTED = 50
ShowOption = Annotated[bool, typer.Option("--show/--no-show", help="Open the page in a browser (in a terminal only).")]


@app.command()
@takes(TraceConfig)
def trace(config: TraceConfig, out: OutOption = None, show: ShowOption = True) -> None:
    """Trace one sample (a needle, unless --task says otherwise), store it and open its timeline."""
    from mechdyn.runs.stored_trace import stored_trace
    from mechdyn.views.page import save_in_both_looks
    from mechdyn.views.timeline import timeline

    result: AnyTrace
    stored = stored_trace(config, out)
    if stored is None:
        from mechdyn.runs.trace import trace_one

        result, folder = trace_one(config, out)
    else:
        result, folder = stored
        print(f"reused   {folder / 'traces'} (nothing was run; another folder with --out makes it anew)")
    if not result.n_steps:
        print(f"no token was generated (stopped: {result.stopped}); the trace is in {folder / 'traces'}")
        return
    page = folder / "timeline.html"
    save_in_both_looks(lambda dark: {"": timeline(result, dark=dark)}, page, f"{result.task} on {config.model}")
    print(f"answer   {visible(result.text)}\nexpected {visible(result.answer)}\ntimeline {page}\nnext     mechdyn explore {folder}")
    _open(page, show)


@app.command()
@takes(ExploreConfig)
def explore(
    config: ExploreConfig,
    out: Annotated[str | None, typer.Option("--out", metavar="FILE", help="The page; RUN/explorer.html when left out.")] = None,
    listing: Annotated[bool, typer.Option("--list", help="List the run's samples and conditions, and write nothing.")] = False,
    show: ShowOption = True,
) -> None:
    """See which head looked where when a token came out: one self-contained page for one sample of a run."""
    from mechdyn.runs import explore as exploring
    from mechdyn.views.explorer.page import explorer

    if listing:
        _print_samples(exploring.stored_samples(exploring.open_traces(config.run), exploring.planned_names(config.run)))
        return
    explored = exploring.explore(config)
    page = explorer(explored.traces, title=explored.title).save(Path(out) if out else Path(config.run) / "explorer.html")
    print(visible(f"sample    {explored.sample.key}: {explored.sample.task}, {explored.sample.about}"))
    groups = _by_group(explored.traces).items()
    told = [group if names == [group] else f"{group} ({len(names)} draws or lists)" for group, names in groups]
    print(visible(f"condition {'; '.join(told)}"))
    print(f"explorer  {page}\nnext      mechdyn explore {config.run} --list")
    _open(page, show)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs.")],
    out: Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help="Where the report goes; the first run's folder.")] = None,
    again: Annotated[
        bool | None,
        typer.Option("--again/--as-recorded", help="Judge all again from the stored traces, or none; left out, those that changed since."),
    ] = None,
    dark: Annotated[bool | None, typer.Option("--dark/--light", help="The look; as the reader's system asks when left out.")] = None,
) -> None:
    """Write what runs came to, beside the paper: one page, report.html, and the same in Markdown; no model is run."""
    from mechdyn.reports.page import report_html, report_markdown
    from mechdyn.reports.sections import make_report
    from mechdyn.reports.tables import print_tables
    from mechdyn.runs.read import read_run
    from mechdyn.views.page import save_text

    made = make_report([read_run(run, again=again) for run in runs])
    folder = out or runs[0]
    page = save_text(report_html(made, dark), folder / "report.html")
    text = save_text(report_markdown(made, page.name), folder / "report.md")
    print_tables([made.verdicts] if made.verdicts else [])
    print(f"page     {page}\nmarkdown {text}")
    if (runs[0] / "traces").is_dir():
        print(f"next     mechdyn view {runs[0]}")


@app.command()
def meta(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs of one claim on several models.")],
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the forest plots here.")] = None,
    again: Annotated[
        bool, typer.Option("--again/--as-recorded", help="Judge again from the stored traces, or take the verdicts as recorded.")
    ] = True,
) -> None:
    """Take a claim's verdicts on several models together: the mean of its main quantity, and what to expect of the next model."""
    from mechdyn.reports.tables import print_tables
    from mechdyn.reports.together import holm_table, together_table
    from mechdyn.runs.together import read_together
    from mechdyn.views.over_models import forest
    from mechdyn.views.page import save_in_both_looks

    verdicts, found = read_together(runs, again=again)
    print_tables([holm_table(verdicts), *map(together_table, found)])
    shown = {each.claim: each for each in found if each.found is not None}
    if out is not None and shown:
        page = save_in_both_looks(lambda dark: {name: forest(each, dark=dark) for name, each in shown.items()}, out, "Claims over models")
        print(f"figures  {page}")
    print(f"next     mechdyn report {' '.join(map(str, runs))}")


def _print_samples(samples: Sequence["StoredSample"]) -> None:
    for number, sample in enumerate(samples[:_LISTED]):
        wrong = [name for name in sample.units if not sample.correct[name]]
        counts = f"{len(sample.units)} condition{'' if len(sample.units) == 1 else 's'}, {len(wrong)} answered wrongly"
        print(visible(f"{number:3} {sample.key} {sample.task}, {sample.about}: {counts}"))
    if len(samples) > _LISTED:
        print(f"and {len(samples) - _LISTED} more")
    print("conditions, as --condition takes them:")
    for group, names in _by_group(dict.fromkeys(name for sample in samples for name in sample.units)).items():
        own = [name.removeprefix(group).strip() for name in names]
        print(
            visible(f"  {group}" if names == [group] else f"  {group} … {len(names)} draws or lists, each with its own: {', '.join(own)}")
        )


def _by_group(conditions: Iterable[str]) -> dict[str, list[str]]:
    """Names of conditions by what they are a draw or a list of."""
    from mechdyn.studies.conditions import group_name

    groups: dict[str, list[str]] = {}
    for name in conditions:
        groups.setdefault(group_name(name), []).append(name)
    return groups


def _open(page: Path, show: bool) -> None:
    if show and sys.stdout.isatty():
        webbrowser.open(page.resolve().as_uri())
