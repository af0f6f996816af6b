"""What someone may choose beside the form: the model, a list of heads from a file; and the page's state in its address."""

from typing import Any

from dash import Dash, Input, Output, State, no_update

from mechdyn.app.address import from_address, to_address
from mechdyn.app.bench import Bench
from mechdyn.app.export import heads_of_upload
from mechdyn.app.layout import FIELDS, about, head_names
from mechdyn.app.screen import in_order
from mechdyn.errors import MechdynError

_LOOK = ("off", "step", "view")
"""What is looked at, each the `value` of the element of that name."""

_OPENED = """
(href, link) => link || Object.keys(JSON.parse(sessionStorage.getItem("jobs")) || {}).length
  ? window.dash_clientside.no_update : new URL(href).search
"""
"""The address's query, once, where the tab is new; after a refresh the tab's own memory is fresher than its address."""


def add_choices(app: Dash, bench: Bench) -> None:
    """The callbacks of the menu, of the upload and of the address."""
    _add_models(app, bench)
    _add_upload(app)
    _add_address(app)


def _add_models(app: Dash, bench: Bench) -> None:
    @app.callback(
        Output("about", "children"),
        Output("off", "options"),
        Output("length", "max"),
        Output("error", "children", allow_duplicate=True),
        Input("model", "value"),
        prevent_initial_call="initial_duplicate",
        running=[(Output("run", "disabled"), True, False)],
    )
    def choose_model(name: str) -> tuple[Any, ...]:
        """Load the model; Run waits for it."""
        try:
            model = bench.load(name)
        except MechdynError as error:
            return no_update, no_update, no_update, str(error)
        return about(model), head_names(model), model.n_ctx, ""


def _add_upload(app: Dash) -> None:
    @app.callback(
        Output("off", "value", allow_duplicate=True),
        Output("error", "children", allow_duplicate=True),
        Output("listed", "contents"),
        Input("listed", "contents"),
        State("listed", "filename"),
        State("top", "value"),
        prevent_initial_call=True,
    )
    def take_list(content: str | None, name: str | None, top: int | None) -> tuple[Any, ...]:
        """The first heads of a file in place of those that are off; the same file may be chosen again."""
        if content is None:
            return no_update, no_update, no_update
        try:
            return in_order(map(str, heads_of_upload(content, str(name), top or 1))), "", None
        except MechdynError as error:
            return no_update, str(error), None


def _add_address(app: Dash) -> None:
    app.clientside_callback(_OPENED, Output("link", "data"), Input("place", "href"), State("link", "data"))

    @app.callback(
        *(Output(name, "value", allow_duplicate=True) for name in (*FIELDS, *_LOOK)),
        Output("head", "data", allow_duplicate=True),
        Input("link", "data"),
        prevent_initial_call=True,
    )
    def read_address(link: str | None) -> tuple[Any, ...]:
        """What the address says, when the page is opened by it."""
        found = from_address(link)
        return tuple(found.get(name, no_update) for name in (*FIELDS, *_LOOK, "head"))

    @app.callback(
        Output("place", "search"),
        Input("jobs", "data"),
        *(Input(name, "value") for name in _LOOK),
        Input("head", "data"),
        *(State(name, "value") for name in FIELDS),
        prevent_initial_call=True,
    )
    def write_address(jobs: dict[str, str], off: list[str], step: int, view: str, head: str | None, *form: Any) -> Any:
        """After a run, and whenever something else is looked at."""
        if not jobs:
            return no_update
        return to_address({**dict(zip(FIELDS, form, strict=True)), "off": off, "step": step, "view": view, "head": head})
