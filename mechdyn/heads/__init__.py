"""Attention heads, sets of them, ranked lists, and the files that hold them.

`mechdyn.heads` is this package and, called, its function `heads`: `md.heads("L3H6 L4H1")`.
"""

import sys
from types import ModuleType

from mechdyn.heads.argument import FORMAT as FORMAT
from mechdyn.heads.argument import parse_heads_or_file as parse_heads_or_file
from mechdyn.heads.files import HEAD_FORMATS as HEAD_FORMATS
from mechdyn.heads.files import HeadFormat as HeadFormat
from mechdyn.heads.files import format_of as format_of
from mechdyn.heads.files import head_format as head_format
from mechdyn.heads.files import layout_of as layout_of
from mechdyn.heads.files import lost as lost
from mechdyn.heads.files import read_heads as read_heads
from mechdyn.heads.head import Head as Head
from mechdyn.heads.head import shown as shown
from mechdyn.heads.head_set import Heads as Heads
from mechdyn.heads.head_set import HeadSet as HeadSet
from mechdyn.heads.head_set import each_head as each_head
from mechdyn.heads.head_set import heads as heads
from mechdyn.heads.ranking import RankedHeads as RankedHeads
from mechdyn.heads.ranking import Spread as Spread
from mechdyn.heads.ranking import rank_heads as rank_heads


class _CallableModule(ModuleType):
    """Importing a package binds its name in the one above, so that `mechdyn.heads` is this package; called, it is the function."""

    def __call__(self, what: Heads, n_layers: int | None = None, n_heads: int | None = None) -> HeadSet:
        return heads(what, n_layers, n_heads)


sys.modules[__name__].__class__ = _CallableModule
