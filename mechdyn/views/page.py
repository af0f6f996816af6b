"""Figures on one HTML page that needs no network."""

import base64
import hashlib
import html
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import plotly.graph_objects as go
import plotly.io as pio
from plotly.offline import get_plotlyjs

from mechdyn.errors import InputError
from mechdyn.text import visible
from mechdyn.views.css import page_colors
from mechdyn.views.given import takes_views
from mechdyn.views.html import Html, scripts_in
from mechdyn.views.looks import SCRIPT, STYLE, Drawn, InBothLooks, View, in_both_looks

_CONFIG = {"responsive": True, "displaylogo": False, "showSendToCloud": False, "toImageButtonOptions": {"format": "svg"}}
_STYLE = f"""
body {{ margin: 0 auto; max-width: 1200px; padding: 16px; background: var(--background); color: var(--ink); font: 16px/1.5 var(--font); }}
a {{ color: var(--series); }}
h1 {{ font-size: 22px; line-height: 1.25; margin: 0 0 16px; overflow-wrap: anywhere; }}
h2 {{ font-size: 17px; line-height: 1.3; margin: 0 0 4px; overflow-wrap: anywhere; }}
section {{ margin: 0 0 28px; }}
.view {{ overflow-x: auto; }}
{STYLE}
@media print, (max-width: 700px) {{ .modebar {{ display: none !important; }} }}
"""


@takes_views("figures", go.Figure, Html, InBothLooks)
def save_page(figures: Sequence[View] | Mapping[str, View], path: str | Path, title: str, *, dark: bool | None = False) -> Path:
    """Write figures to one self-contained HTML page: plotly's script once at most, nothing loaded, figures scroll sideways.

    The page appears whole or not at all: it is written beside `path` and moved there. An older file at `path` is replaced, missing folders
    are made.

    Args:
        figures: plotly figures or `Html`, in order; a mapping's keys become headings.
        path: the file.
        title: the page's title and first heading.
        dark: a dark page, for figures drawn with `dark=True`; None follows what the reader's system asks for, for figures in both looks
            (`mechdyn.views.looks.in_both_looks`).

    Returns:
        The path.

    Raises:
        InputError: no figure, or a path that cannot be written.
    """
    if not figures:
        raise InputError("a page needs at least one figure, got none")
    return save_text(page(figures, title, dark=dark), path)


def save_in_both_looks(draw: Callable[[bool], Mapping[str, Drawn]], path: str | Path, title: str) -> Path:
    """`save_page` of views that `draw` gives for a dark page or a light one: the page follows what the reader's system asks for."""
    return save_page(in_both_looks(draw), path, title, dark=None)


def save_text(text: str, path: str | Path) -> Path:
    """Write a page whole or not at all: beside `path`, then moved there. Half characters, which UTF-8 has not, become ?.

    Raises:
        InputError: a path that cannot be written.
    """
    target = Path(path)
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_bytes(text.encode("utf-8", errors="replace"))
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"cannot write the page to {target}: {error.strerror or error}; choose a file in a writable folder") from error
    return target


def page(figures: Sequence[View] | Mapping[str, View], title: str, *, dark: bool | None = False) -> str:
    """The HTML that `save_page` writes."""
    named = list(figures.items()) if isinstance(figures, Mapping) else [("", figure) for figure in figures]
    sections = [_section(index, name, figure, dark) for index, (name, figure) in enumerate(named)]
    with_plotly = any(isinstance(_light(figure), go.Figure) for _, figure in named)
    return document(joined([Html("<main>"), *sections, Html("</main>")]), title, dark=dark, plotly=with_plotly)


def joined(parts: Iterable[Html]) -> Html:
    """Pieces of HTML one below the other, with the scripts of all of them."""
    pieces = list(parts)
    return Html("\n".join(piece.html for piece in pieces), tuple(script for piece in pieces for script in piece.scripts))


def policy(scripts: Sequence[str], *, parts: bool = False) -> str:
    """A page's content security policy: nothing is loaded from anywhere, and no script runs but these, known by their SHA-256.

    With `parts` these scripts themselves, and nothing else on the page, may load further ones: the data files of a viewer, which a page on
    a disk cannot fetch.

    So a tag or an attribute such as `onerror` that should get into the page with some data does nothing. Plotly compiles a piece of
    WebAssembly that it carries.
    """
    hashes = " ".join(dict.fromkeys(f"'sha256-{_digest(script)}'" for script in scripts)) or "'none'"
    wasm = " 'wasm-unsafe-eval'" if scripts else ""
    loaded = " 'strict-dynamic'" if parts else ""
    return f"default-src 'none'; script-src {hashes}{loaded}{wasm}; style-src 'unsafe-inline'; img-src data: blob:; font-src data:"


def _digest(script: str) -> str:
    """Of a script as browsers hash it: with their line ends, in the bytes that `save_text` writes."""
    text = script.replace("\r\n", "\n").replace("\r", "\n")
    return base64.b64encode(hashlib.sha256(text.encode("utf-8", errors="replace")).digest()).decode()


def document(body: Html, title: str, *, dark: bool | None = False, style: str = "", plotly: bool = True) -> str:
    """A whole page around HTML that is safe already: the title as heading, the look, plotly's script once, nothing loaded.

    Args:
        body: what stands below the heading; its own scripts are the only ones that run, beside plotly's.
        title: of the page, not yet escaped.
        dark: a dark page or a light one; None follows what the reader's system asks for.
        style: further CSS.
        plotly: whether its script (4.8 MB) is needed.
    """
    library = (get_plotlyjs(), SCRIPT) if plotly else ()
    script = "".join(f"<script>{each}</script>" for each in library)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy([*library, *body.scripts])}">
<link rel="icon" href="data:,">
<title>{html.escape(visible(title))}</title>
<style>
{page_colors(dark)}{_STYLE}{style}</style>
{script}
</head>
<body>
<h1>{html.escape(visible(title))}</h1>
{body.html}
</body>
</html>
"""


def _section(index: int, name: str, figure: View, dark: bool | None) -> Html:
    heading = f"<h2>{html.escape(visible(name))}</h2>" if name else ""
    opened = f'<section id="view-{index}" aria-label="{html.escape(visible(_described(name, figure)))}">\n{heading}'
    return joined([Html(opened), drawn(index, figure, dark), Html("</section>")])


def drawn(index: int, view: View, dark: bool | None) -> Html:
    """One view as HTML for a `document` of the same look; `index` tells the figures of a page apart."""
    shown = view if dark is None or not isinstance(view, InBothLooks) else view.in_look(dark)
    light = _light(shown)
    if isinstance(light, Html):
        piece = _either(shown) if isinstance(shown, InBothLooks) else light
        return Html(f'<div class="view">{piece.html}</div>', piece.scripts)
    name = f"figure-{index}"
    plot = switched_html(shown, name) if isinstance(shown, InBothLooks) else figure_html(light, name)
    meta = light.layout.meta
    width = meta.get("min_width", 0) if isinstance(meta, dict) else 0
    return Html(f'<div class="view" tabindex="0"><div style="min-width:{int(width)}px">{plot}</div></div>', scripts_in(plot))


def _light(view: View) -> go.Figure | Html:
    return view.light if isinstance(view, InBothLooks) else view


def _either(view: InBothLooks) -> Html:
    """HTML in both looks, of which the page's style shows one."""
    looks = {"in-light": view.light, "in-dark": view.dark}
    return joined([Html(f'<div class="{name}">{piece.html}</div>', piece.scripts) for name, piece in looks.items()])


def switched_html(view: InBothLooks, name: str) -> str:
    """A figure in both looks as a piece of HTML whose element has the id `name`, for a `document` with plotly's script."""
    looks = ", ".join(pio.to_json(look, validate=False) for look in (view.light, view.dark))
    element = f'<div id="{name}" class="plotly-graph-div" style="height:{_height(view.light)}; width:100%;"></div>'
    return f'{element}\n<script>drawInLook("{name}", {looks}, {json.dumps(_CONFIG)});</script>'


def figure_html(figure: go.Figure, name: str, *, script: bool = False) -> str:
    """A figure as a piece of HTML whose element has the id `name`; with plotly's script, or for a page that has it."""
    return figure.to_html(
        full_html=False,
        include_plotlyjs=script,
        include_mathjax=False,
        div_id=name,
        default_height=_height(figure),
        config=_CONFIG,
    )


def _height(figure: go.Figure) -> str:
    return f"{figure.layout.height or 450}px"


def _described(name: str, view: View) -> str:
    """What a screen reader says: the heading, or the figure's own title."""
    figure = _light(view)
    if name or isinstance(figure, Html):
        return name or "tokens"
    title = figure.layout.title
    lines = ((text or "").replace("<br>", " ") for text in (title.text, title.subtitle.text))
    return html.unescape(" — ".join(part for part in lines if part)) or "figure"
