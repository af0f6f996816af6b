"""Figures of traces and results: figure out, no files or network inside; `save_page` alone writes."""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mechdyn.views.alarm import alarm as alarm
    from mechdyn.views.attention import attention as attention
    from mechdyn.views.compare import compare as compare
    from mechdyn.views.curves import Curve as Curve
    from mechdyn.views.curves import cca as cca
    from mechdyn.views.curves import curves as curves
    from mechdyn.views.curves import progressive as progressive
    from mechdyn.views.explorer.page import Explorer as Explorer
    from mechdyn.views.explorer.page import explorer as explorer
    from mechdyn.views.grid import Cells as Cells
    from mechdyn.views.grid import grid as grid
    from mechdyn.views.html import Html as Html
    from mechdyn.views.layer_head import layer_head as layer_head
    from mechdyn.views.notebook import embed_plotly as embed_plotly
    from mechdyn.views.page import save_page as save_page
    from mechdyn.views.rag import rag_sample as rag_sample
    from mechdyn.views.rind import rind as rind
    from mechdyn.views.theme import for_paper as for_paper
    from mechdyn.views.timeline import timeline as timeline
    from mechdyn.views.tokens import tokens as tokens

_HOMES = {
    "Cells": "mechdyn.views.grid",
    "Curve": "mechdyn.views.curves",
    "Explorer": "mechdyn.views.explorer.page",
    "Html": "mechdyn.views.html",
    "alarm": "mechdyn.views.alarm",
    "attention": "mechdyn.views.attention",
    "cca": "mechdyn.views.curves",
    "compare": "mechdyn.views.compare",
    "curves": "mechdyn.views.curves",
    "embed_plotly": "mechdyn.views.notebook",
    "explorer": "mechdyn.views.explorer.page",
    "for_paper": "mechdyn.views.theme",
    "grid": "mechdyn.views.grid",
    "layer_head": "mechdyn.views.layer_head",
    "progressive": "mechdyn.views.curves",
    "rag_sample": "mechdyn.views.rag",
    "rind": "mechdyn.views.rind",
    "save_page": "mechdyn.views.page",
    "timeline": "mechdyn.views.timeline",
    "tokens": "mechdyn.views.tokens",
}

__all__ = [
    "Cells",
    "Curve",
    "Explorer",
    "Html",
    "alarm",
    "attention",
    "cca",
    "compare",
    "curves",
    "embed_plotly",
    "explorer",
    "for_paper",
    "grid",
    "layer_head",
    "progressive",
    "rag_sample",
    "rind",
    "save_page",
    "timeline",
    "tokens",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use: whoever draws a timeline does not wait for what a grid imports."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mechdyn.views' has no attribute {name!r}; its public names are {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


class _Views(ModuleType):
    """Importing a module binds its name in its package; `views.timeline` is the function all the same, whatever was imported first."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _HOMES:
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Views
