"""The explorer: which head looked where when a token came out, as one HTML file that needs no network."""

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

from mechdyn.traces.trace import Trace
from mechdyn.views.css import page_colors
from mechdyn.views.explorer.pack import pack
from mechdyn.views.given import takes_traces
from mechdyn.views.page import policy, save_text
from mechdyn.views.theme import heading

EMBEDDED = "embedded.js"
_SCRIPTS = ("dom.js", "data.js", "state.js", "timeline.js", "details.js", "context.js")
_FRAME_PIXELS = 900


@dataclass(frozen=True)
class Explorer:
    """A whole page. It shows itself in a notebook, in a frame of its own."""

    html: str

    def save(self, path: str | Path) -> Path:
        """Write the page; an older file is replaced, missing folders are made.

        Raises:
            InputError: a path that cannot be written.
        """
        return save_text(self.html, path)

    def _repr_html_(self) -> str:
        page = html.escape(self.html)
        return f'<iframe srcdoc="{page}" style="width:100%;height:{_FRAME_PIXELS}px;border:0" title="explorer"></iframe>'

    def __repr__(self) -> str:
        return f"Explorer({len(self.html) / 2**20:.1f} MB; .save(path) writes it)"


@takes_traces("traces", by_condition=True)
def explorer(traces: Trace | Mapping[str, Trace], *, title: str = "", dark: bool | None = None) -> Explorer:
    """A page to look around in one prompt's generations: timeline, sources of each head, context, conditions side by side.

    Args:
        traces: one generation, or several of the same prompt by the name of their condition, the first shown first. Heads' sources show
            where the traces have them: `trace` keeps them, for stored traces `replay` makes them again.
        title: the heading; model, task and setting when left out.
        dark: a dark page or a light one; left out, the page follows what the reader's system asks for.

    Raises:
        InputError: no trace, one without steps, or traces of different prompts or models.
    """
    named = {"clean" if traces.ablated is None else "ablated": traces} if isinstance(traces, Trace) else dict(traces)
    data = base64.b64encode(pack(named)).decode()
    heading_html = html.escape(title) or heading(next(iter(named.values())))
    return Explorer(explorer_page(heading_html, asset(EMBEDDED), dark=dark, data=data))


def explorer_page(title: str, source: str, *, dark: bool | None, data: str = "", parts: bool = False) -> str:
    """The explorer's page.

    Args:
        title: of the page, escaped already.
        source: the script whose `openData` says where the data are.
        dark: as of `explorer`.
        data: what the page itself holds.
        parts: whether its script may load others from beside it.
    """
    script = joined_scripts([*map(asset, _SCRIPTS), source, asset("main.js")])
    return Template(asset("page.html")).substitute(
        title=title,
        policy=policy([script], parts=parts),
        colors=page_colors(dark),
        style=asset("style.css"),
        script=script,
        data=data,
    )


def asset(name: str) -> str:
    """A file of the explorer: script, style or page."""
    return files("mechdyn.views.explorer").joinpath(name).read_text(encoding="utf-8")


def joined_scripts(scripts: Sequence[str]) -> str:
    """One strict script of several."""
    return '\n"use strict";\n' + "\n".join(scripts) + "\n"
