"""Heads as a command line names them."""

import os

from mechdyn.errors import InputError
from mechdyn.heads.files import read_heads
from mechdyn.heads.head import shown
from mechdyn.heads.head_set import HeadSet, heads
from mechdyn.heads.ranking import RankedHeads

FORMAT = ":format="
"""What a command line puts between a file of heads and its layout."""


def parse_heads_or_file(text: str) -> HeadSet | RankedHeads:
    """What a command line names: the ranking in a file, the first of it (`FILE:top=20`), or heads (`L3H6 L4H1`).

    The file's layout is recognised, or said: `FILE:format=wu`, `FILE:format=wu:top=20`, `FILE:top=20:format=duoattention:query_heads=32`.

    Raises:
        InputError: neither a file nor heads, or a file that cannot be read.
    """
    named, _, layout = text.partition(FORMAT)
    (path, first), (layout, last) = _top_of(named), _top_of(layout)
    if (k := first if last is None else last) is not None:
        return read_heads(path, layout or None).top(k)
    if layout or os.path.exists(text):
        return read_heads(named, layout or None)
    try:
        found = heads(text)
    except InputError as error:
        raise InputError(f"there is no file {shown(text)}, and as heads it cannot be read: {error}") from error
    if not found:
        raise InputError(f"heads are wanted, such as 'L3H6 L4H1', or a file of them, got {shown(text)}")
    return found


def _top_of(text: str) -> tuple[str, int | None]:
    """The text without `:top=K` at its end, and K; None where it has none."""
    path, top, k = text.rpartition(":top=")
    return (path, int(k)) if top and k.isdecimal() else (text, None)
