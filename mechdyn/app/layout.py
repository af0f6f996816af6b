"""What stands on the page: the form, the figures, their identifiers and their look."""

import random
from functools import partial
from typing import Any

from dash import dcc, html

from mechdyn.app.ask import Ask, Limits
from mechdyn.app.bench import Bench
from mechdyn.heads import Head
from mechdyn.scores.score import SCORES
from mechdyn.tasks.niah import QUESTION, needle_sentence
from mechdyn.tasks.values import random_uuid
from mechdyn.views.theme import FONT, MONO, look

FIELDS = ("needle", "question", "haystack", "length", "depth", "seed", "new_tokens", "score", "model")
"""Identifiers of the form's fields: those of `Ask`."""

NOTHING_YET = "Nothing has run yet."

_KEPT: dict[str, Any] = {"persistence": True, "persistence_type": "session"}
"""What someone chose is there again after a refresh."""

_LARGEST_LIST = 2_000_000
"""Bytes of a file of heads."""

VIEWS = ("steps", "step", "without", "export")
"""What the results show, one at a time; each is the element `view-…`."""

_GRAPH = {"displaylogo": False, "responsive": True, "showSendToCloud": False}

INDEX = """<!doctype html>
<html lang="en">
<head>{{%metas%}}<title>{{%title%}}</title><link rel="icon" href="data:,">{{%css%}}<style>{style}</style></head>
<body>{{%app_entry%}}<footer>{{%config%}}{{%scripts%}}{{%renderer%}}</footer></body>
</html>"""

_STYLE = """
:root {{ color-scheme: {scheme}; --Dash-Fill-Interactive-Strong: {strong}; --Dash-Text-Primary: {ink}; --Dash-Text-Strong: {ink};
  --Dash-Text-Weak: {muted}; --Dash-Text-Disabled: {muted}; --Dash-Fill-Inverse-Strong: {background}; --Dash-Stroke-Strong: {line};
  --Dash-Stroke-Weak: {line}; --Dash-Fill-Disabled: {line}; }}
* {{ box-sizing: border-box; }}
body {{ margin: 0 auto; max-width: 1500px; padding: 12px 20px; background: {background}; color: {ink}; font: 16px/1.5 {font}; }}
h1 {{ font-size: 22px; line-height: 1.25; margin: 0 0 4px; }}
h2 {{ font-size: 17px; line-height: 1.3; margin: 8px 0 4px; }}
p {{ margin: 0 0 8px; }}
.small {{ color: {muted}; font-size: 14px; }}
.columns {{ display: grid; grid-template-columns: minmax(0, 340px) minmax(0, 1fr); gap: 0 32px; align-items: start; }}
.fields {{ display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 8px 16px; align-items: end; margin: 8px 0 12px; }}
.wide {{ grid-column: 1 / -1; }}
label {{ display: block; font-size: 14px; color: {muted}; }}
.fields textarea, .fields .dash-input-container {{ width: 100%; border: 1px solid {muted}; border-radius: 4px; background: {background}; }}
.fields textarea, .fields input {{ padding: 6px 8px; color: {ink}; font: 15px/1.4 {font}; }}
.fields input {{ width: 100%; border: 0; background: transparent; }}
button {{ padding: 6px 14px; margin: 0 8px 8px 0; border: 1px solid {muted}; border-radius: 4px; background: {background}; color: {ink};
  font: 15px/1.4 {font}; cursor: pointer; }}
button.main {{ background: {strong}; border-color: {strong}; color: {on_strong}; }}
button:disabled {{ opacity: 0.45; cursor: default; }}
button:focus-visible, textarea:focus-visible, input:focus-visible {{ outline: 2px solid {accent}; outline-offset: 1px; }}
progress {{ width: 220px; max-width: 100%; accent-color: {strong}; vertical-align: middle; margin-right: 10px; }}
.answer {{ font: 15px/1.5 {mono}; white-space: pre-wrap; overflow-wrap: anywhere; border-left: 4px solid {line}; padding: 2px 0 2px 10px;
  margin: 4px 0; }}
.error {{ color: {ink}; border-left: 4px solid {accent}; padding: 2px 0 2px 10px; overflow-wrap: anywhere; }}
.error:empty {{ display: none; }}
.scroll {{ overflow-x: auto; }}
.buttons {{ margin: 8px 0 0; }}
.row {{ display: flex; flex-wrap: wrap; gap: 4px 10px; align-items: center; margin: 8px 0 0; }}
.row .dash-input-container {{ width: 8em; }}
.tabs {{ display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 12px 0 8px; padding-bottom: 6px; border-bottom: 1px solid {line}; }}
[hidden] {{ display: none !important; }}
@media (min-width: 901px) {{ .columns > section {{ max-height: calc(100vh - 90px); overflow-y: auto; padding-right: 4px; }} }}
@media (max-width: 700px) {{ .modebar {{ display: none !important; }} }}
@media (max-width: 900px) {{ .columns {{ grid-template-columns: minmax(0, 1fr); }} }}
"""


def index(dark: bool) -> str:
    """The page's frame, with its style inside it."""
    colors = look(dark)
    style = _STYLE.format(
        scheme="dark" if dark else "light",
        background=colors.background,
        ink=colors.ink,
        muted=colors.muted,
        line=colors.line,
        accent=colors.accent,
        strong=colors.series[0],
        on_strong="#000000" if dark else "#FFFFFF",
        font=FONT,
        mono=MONO,
    )
    return INDEX.format(style=style)


def layout(bench: Bench) -> html.Main:
    """The whole page before anything has run. What was typed and chosen outlives a refresh, in this tab of the browser."""
    heads = head_names(bench.model)
    return html.Main(
        [
            html.H1("Heads as they fire"),
            html.P(about(bench.model), id="about", className="small"),
            html.Div(
                [html.Section([_form(bench), *_running()]), html.Section(_results(heads), id="results", hidden=True)], className="columns"
            ),
            dcc.Location(id="place", refresh=False),
            dcc.Store(id="link", data=None),
            dcc.Interval(id="clock", interval=400, disabled=True),
            dcc.Store(id="jobs", data={}, storage_type="session"),
            dcc.Store(id="head", data=None, storage_type="session"),
            dcc.Store(id="seen", data={}),
            dcc.Download(id="file"),
        ]
    )


def about(model: Any) -> str:
    """The line under the heading."""
    return f"{model.name}: {model.n_layers} layers × {model.n_heads} heads, {model.n_ctx} positions for prompt and answer"


def head_names(model: Any) -> list[str]:
    """Every head of a model."""
    return [str(Head(layer, head)) for layer in range(model.n_layers) for head in range(model.n_heads)]


def _form(bench: Bench) -> html.Div:
    start = Ask(needle_sentence(random_uuid(random.Random("the first needle of the app"))), QUESTION)
    menus = [
        _menu("model", "Model", list(bench.names), bench.names[0]),
        _menu("score", "Score of a head", list(SCORES.names()), start.score),
    ]
    return html.Div([*menus, *_texts(start, bench.limits), *_numbers(start, bench.limits, bench.model.n_ctx)], className="fields")


def _texts(start: Ask, limits: Limits) -> list[html.Div]:
    """What the prompt is made of; each may be so long."""
    needle, haystack = "Needle: the sentence to be found", "Haystack: the text around it; procedural prose when left empty"
    area = partial(_field, kind=dcc.Textarea, place="wide", rows=2)
    return [
        area("needle", needle, value=start.needle, maxLength=limits.needle_characters),
        _field("question", "Question", dcc.Input, "wide", value=start.question, type="text", maxLength=limits.question_characters),
        area("haystack", haystack, value="", maxLength=limits.haystack_characters),
    ]


def _numbers(start: Ask, limits: Limits, n_ctx: int) -> list[html.Div]:
    """How long the prompt is, where in it the needle stands, how much is generated."""
    number = partial(_field, kind=dcc.Input, place="", type="number")
    return [
        number("length", "Prompt tokens, without a haystack", value=min(start.length, n_ctx // 2), min=1, max=n_ctx, step=1),
        number("depth", "Depth, 0 to 1", value=start.depth, min=0, max=1, step=0.05),
        number("seed", "Seed of the prose", value=start.seed, step=1),
        number("new_tokens", "New tokens at most", value=start.new_tokens, min=1, max=limits.new_tokens, step=1),
    ]


def _menu(name: str, text: str, options: list[str], value: str) -> html.Div:
    return _field(name, text, dcc.Dropdown, "", options=options, value=value, clearable=False)


def _field(name: str, text: str, kind: Any, place: str, **properties: Any) -> html.Div:
    return html.Div([html.Label(text, htmlFor=name), kind(id=name, **properties, **_KEPT)], className=place)


def _running() -> list[Any]:
    return [
        html.Div(
            [
                html.Button("Run", id="run", className="main"),
                html.Button("Cancel", id="cancel", disabled=True),
                html.Progress(id="progress", value="0", max="1"),
            ]
        ),
        html.P(NOTHING_YET, id="status", role="status"),
        html.P("", id="error", className="error", role="alert"),
    ]


def _results(heads: list[str]) -> list[Any]:
    tabs = {"steps": "Over the answer", "step": "At one step", "without": "Without some heads", "export": "Export"}
    return [
        html.H2("Answer"),
        html.Div("", id="answer", className="answer"),
        dcc.RadioItems(id="view", options=tabs, value="steps", inline=True, className="tabs", **_KEPT),
        html.Div(_over_steps(), id="view-steps"),
        html.Div(_at_one_step(), id="view-step", hidden=True),
        html.Div(_without(heads), id="view-without", hidden=True),
        html.Div(_export(), id="view-export", hidden=True),
    ]


def _over_steps() -> list[Any]:
    rows = {"varying": "steady, then most varying", "top": "highest scores", "all": "all heads"}
    return [
        html.P("Click a cell to see where its head looks at that token.", className="small"),
        dcc.RadioItems(id="rows", options=rows, value="varying", inline=True, **_KEPT),
        _graph("timeline"),
    ]


def _at_one_step() -> list[Any]:
    return [
        html.P("Click a cell to see where its head looks. The slider takes the arrow keys.", className="small"),
        html.Div(dcc.Slider(id="step", min=0, max=1, step=1, value=0, marks=None, tooltip={"placement": "bottom"}, **_KEPT)),
        _graph("map"),
        html.Div([html.Button("Switch this head off", id="switch"), _graph("sources")], id="looks", hidden=True),
    ]


def _without(heads: list[str]) -> list[Any]:
    return [
        html.P("The outputs of these heads are set to zero at every generated token.", className="small"),
        dcc.Dropdown(id="off", options=heads, value=[], multi=True, placeholder="heads to switch off, by name", **_KEPT),
        html.Div(
            [
                html.Label("The first", htmlFor="top"),
                dcc.Input(id="top", type="number", min=1, step=1, value=5, **_KEPT),
                html.Label("of a file of ranked heads:", htmlFor="listed"),
                dcc.Upload(html.Button("Choose a file"), id="listed", max_size=_LARGEST_LIST),
            ],
            className="row",
        ),
        html.Div(
            [
                html.Button("Add those that retrieve at this step", id="add"),
                html.Button("Clear", id="clear"),
                html.Button("Run without them", id="without", className="main", disabled=True),
            ],
            className="buttons",
        ),
        html.Div(
            [html.H2("What is generated instead"), html.Div("", id="answer-without", className="answer"), _graph("comparison")],
            id="ablated",
            hidden=True,
        ),
        html.Div(
            [
                html.H2("What they do at each token"),
                html.P(
                    "The first answer is given token by token, and the heads are off at one token alone: how much less likely that token "
                    "becomes. 0.7 nats are half its probability, 2.3 nine tenths of it.",
                    className="small",
                ),
                _graph("effects"),
            ],
            id="at-steps",
            hidden=True,
        ),
    ]


def _export() -> list[Any]:
    return [
        html.P(
            "The traces as numpy arrays (.npz, read by numpy.load), the figures as a page that opens without network, and Python that "
            "makes the same. The page's address holds what was asked: keep it, or send it to someone who runs the app.",
            className="small",
        ),
        html.Div(
            [
                html.Button("Download the trace", id="download", className="main"),
                html.Button("Download the one without heads", id="download-without", disabled=True),
                html.Button("Download the figures", id="download-figures"),
            ],
            className="buttons",
        ),
        html.Pre("", id="snippet", className="answer", tabIndex="0"),
    ]


def _graph(name: str) -> html.Div:
    return html.Div(dcc.Graph(id=name, config=_GRAPH), className="scroll", tabIndex="0")
