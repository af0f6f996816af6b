"""Figures of traces and results: figure out, no files or network inside; `save_page` alone writes.

Every view takes `title` and `dark`, and what it draws fits a page of 400 pixels or scrolls; `for_paper` makes a copy for a paper's column.

The views of traces are imported at once because functions and their modules share names: whatever was imported first, `views.timeline` is
the function. Those of results, which need statistics, are imported on first use; their modules have names of their own.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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
from mechdyn.views.layer_head import layer_head as layer_head
from mechdyn.views.notebook import embed_plotly as embed_plotly
from mechdyn.views.page import save_page as save_page
from mechdyn.views.paper import for_paper as for_paper
from mechdyn.views.patterns import patterns as patterns
from mechdyn.views.rag import rag_sample as rag_sample
from mechdyn.views.rind import rind as rind
from mechdyn.views.timeline import timeline as timeline
from mechdyn.views.tokens import Html as Html
from mechdyn.views.tokens import tokens as tokens
from mechdyn.views.verdict import verdict as verdict

if TYPE_CHECKING:
    from mechdyn.views.condition_panels import conditions as conditions
    from mechdyn.views.facts import fact_groups as fact_groups
    from mechdyn.views.facts import fact_timeline as fact_timeline
    from mechdyn.views.follows import interval_bars as interval_bars
    from mechdyn.views.follows import modes_map as modes_map
    from mechdyn.views.head_lists import layer_profiles as layer_profiles
    from mechdyn.views.head_lists import list_matrix as list_matrix
    from mechdyn.views.head_maps import head_map as head_map
    from mechdyn.views.head_maps import head_map_difference as head_map_difference
    from mechdyn.views.over_models import forest as forest
    from mechdyn.views.power import power_figure as power_figure
    from mechdyn.views.probe import by_head as by_head
    from mechdyn.views.probe import calibration as calibration
    from mechdyn.views.sensitivity import sensitivity_figure as sensitivity_figure
    from mechdyn.views.sensitivity import sensitivity_numbers as sensitivity_numbers

_ON_FIRST_USE = {
    "by_head": "probe",
    "calibration": "probe",
    "conditions": "condition_panels",
    "fact_groups": "facts",
    "fact_timeline": "facts",
    "forest": "over_models",
    "head_map": "head_maps",
    "head_map_difference": "head_maps",
    "interval_bars": "follows",
    "layer_profiles": "head_lists",
    "list_matrix": "head_lists",
    "modes_map": "follows",
    "power_figure": "power",
    "sensitivity_figure": "sensitivity",
    "sensitivity_numbers": "sensitivity",
}
"""The module of each view that is imported when it is asked for."""

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
    "interval_bars",
    "layer_head",
    "layer_profiles",
    "list_matrix",
    "modes_map",
    "patterns",
    "power_figure",
    "progressive",
    "rag_sample",
    "rind",
    "save_page",
    "sensitivity_figure",
    "sensitivity_numbers",
    "timeline",
    "tokens",
    "verdict",
]


def __getattr__(name: str) -> Any:
    if name not in _ON_FIRST_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ON_FIRST_USE[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
