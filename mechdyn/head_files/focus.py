"""The layout of Focus Directions (billzyx/focus_direction): `[[layer, head], …]`, best first, no scores."""

import json
import math
from typing import Any

from mechdyn.errors import InputError
from mechdyn.head_files.json_object import is_count, json_list, peek_list_or_object
from mechdyn.head_files.keys import shape_of
from mechdyn.heads import Head, RankedHeads, head_format, shown


@head_format("focus")
class Focus:
    """Pairs of numbers in order."""

    def recognises(self, content: str) -> bool:
        """A list whose first entry is a list that begins with a number."""
        found = peek_list_or_object(content)
        return isinstance(found, list) and bool(found) and isinstance(found[0], list) and bool(found[0]) and isinstance(found[0][0], int)

    def read(self, content: str) -> RankedHeads:
        """The heads without scores; the shape where the list names every head of one."""
        heads = tuple(_head(place, row) for place, row in enumerate(json_list(content)))
        n_layers, n_heads = shape_of(set(heads))
        return RankedHeads(heads, (math.nan,) * len(heads), n_layers, n_heads, "rank as Focus Directions lists it")

    def write(self, ranked: RankedHeads) -> str:
        """In the order of the ranking."""
        return json.dumps([list(head) for head in ranked.heads])


def _head(place: int, row: Any) -> Head:
    if not isinstance(row, list) or len(row) != 2 or not all(map(is_count, row)):
        raise InputError(f"entry {place} must be [layer, head], two whole numbers from 0, got {shown(row)}")
    return Head(*row)
