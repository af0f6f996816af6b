"""Figures of traces and results: figure out, no files or network inside; `save_page` alone writes.

Every view takes `title` and `dark`, and what it draws fits a page of 400 pixels or scrolls; `for_paper` makes a copy for a paper's column.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mechdyn.views.alarm import alarm as alarm
    from mechdyn.views.attention import attention as attention
    from mechdyn.views.compare import compare as compare
    from mechdyn.views.condition_panels import conditions as conditions
    from mechdyn.views.curves import Curve as Curve
    from mechdyn.views.curves import cca as cca
    from mechdyn.views.curves import curves as curves
    from mechdyn.views.curves import progressive as progressive
    from mechdyn.views.explorer.page import Explorer as Explorer
    from mechdyn.views.explorer.page import explorer as explorer
    from mechdyn.views.facts import fact_groups as fact_groups
    from mechdyn.views.facts import fact_timeline as fact_timeline
    from mechdyn.views.follows import interval_bars as interval_bars
    from mechdyn.views.follows import modes_map as modes_map
    from mechdyn.views.grid import Cells as Cells
    from mechdyn.views.grid import grid as grid
    from mechdyn.views.head_lists import layer_profiles as layer_profiles
    from mechdyn.views.head_lists import list_matrix as list_matrix
    from mechdyn.views.head_maps import head_map as head_map
    from mechdyn.views.head_maps import head_map_difference as head_map_difference
    from mechdyn.views.head_summary import co_activation as co_activation
    from mechdyn.views.head_summary import head_shares as head_shares
    from mechdyn.views.head_summary import one_head as one_head
    from mechdyn.views.html import Html as Html
    from mechdyn.views.kv_budgets import kv_budgets as kv_budgets
    from mechdyn.views.layer_head import layer_head as layer_head
    from mechdyn.views.notebook import embed_plotly as embed_plotly
    from mechdyn.views.over_models import forest as forest
    from mechdyn.views.page import save_page as save_page
    from mechdyn.views.paper import for_paper as for_paper
    from mechdyn.views.patterns import patterns as patterns
    from mechdyn.views.power import power_figure as power_figure
    from mechdyn.views.probe import by_head as by_head
    from mechdyn.views.probe import calibration as calibration
    from mechdyn.views.rag import rag_sample as rag_sample
    from mechdyn.views.rind import rind as rind
    from mechdyn.views.sensitivity import sensitivity_figure as sensitivity_figure
    from mechdyn.views.sensitivity import sensitivity_numbers as sensitivity_numbers
    from mechdyn.views.step_effects import step_effects as step_effects
    from mechdyn.views.timeline import timeline as timeline
    from mechdyn.views.tokens import tokens as tokens
    from mechdyn.views.verdict import verdict as verdict

_HOMES = {
    "Cells": "mechdyn.views.grid",
    "Curve": "mechdyn.views.curves",
    "Explorer": "mechdyn.views.explorer.page",
    "Html": "mechdyn.views.html",
    "alarm": "mechdyn.views.alarm",
    "attention": "mechdyn.views.attention",
    "by_head": "mechdyn.views.probe",
    "calibration": "mechdyn.views.probe",
    "cca": "mechdyn.views.curves",
    "co_activation": "mechdyn.views.head_summary",
    "compare": "mechdyn.views.compare",
    "conditions": "mechdyn.views.condition_panels",
    "curves": "mechdyn.views.curves",
    "embed_plotly": "mechdyn.views.notebook",
    "explorer": "mechdyn.views.explorer.page",
    "fact_groups": "mechdyn.views.facts",
    "fact_timeline": "mechdyn.views.facts",
    "for_paper": "mechdyn.views.paper",
    "forest": "mechdyn.views.over_models",
    "grid": "mechdyn.views.grid",
    "head_map": "mechdyn.views.head_maps",
    "head_map_difference": "mechdyn.views.head_maps",
    "head_shares": "mechdyn.views.head_summary",
    "interval_bars": "mechdyn.views.follows",
    "kv_budgets": "mechdyn.views.kv_budgets",
    "layer_head": "mechdyn.views.layer_head",
    "layer_profiles": "mechdyn.views.head_lists",
    "list_matrix": "mechdyn.views.head_lists",
    "modes_map": "mechdyn.views.follows",
    "one_head": "mechdyn.views.head_summary",
    "patterns": "mechdyn.views.patterns",
    "power_figure": "mechdyn.views.power",
    "progressive": "mechdyn.views.curves",
    "rag_sample": "mechdyn.views.rag",
    "rind": "mechdyn.views.rind",
    "save_page": "mechdyn.views.page",
    "sensitivity_figure": "mechdyn.views.sensitivity",
    "sensitivity_numbers": "mechdyn.views.sensitivity",
    "step_effects": "mechdyn.views.step_effects",
    "timeline": "mechdyn.views.timeline",
    "tokens": "mechdyn.views.tokens",
    "verdict": "mechdyn.views.verdict",
}

__all__ = [
    "Cells",
    "Curve",
    "Explorer",
    "Html",
    "alarm",
    "attention",
    "by_head",
    "calibration",
    "cca",
    "co_activation",
    "compare",
    "conditions",
    "curves",
    "embed_plotly",
    "explorer",
    "fact_groups",
    "fact_timeline",
    "for_paper",
    "forest",
    "grid",
    "head_map",
    "head_map_difference",
    "head_shares",
    "interval_bars",
    "kv_budgets",
    "layer_head",
    "layer_profiles",
    "list_matrix",
    "modes_map",
    "one_head",
    "patterns",
    "power_figure",
    "progressive",
    "rag_sample",
    "rind",
    "save_page",
    "sensitivity_figure",
    "sensitivity_numbers",
    "step_effects",
    "timeline",
    "tokens",
    "verdict",
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
