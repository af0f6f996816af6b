"""Figures of traces and results: figure out, no files or network inside; `save_page` alone writes.

The imports are eager because functions and their modules share names: whatever was imported first, `views.timeline` is the function.
"""

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
from mechdyn.views.rag import rag_sample as rag_sample
from mechdyn.views.rind import rind as rind
from mechdyn.views.timeline import timeline as timeline
from mechdyn.views.tokens import Html as Html
from mechdyn.views.tokens import tokens as tokens
from mechdyn.views.verdict import verdict as verdict

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
    "verdict",
]
