"""The layout of CompressKV (TUDa-HWAI/CompressKV): `{"layer": [head, head, …]}`, the heads of each layer best first, no scores.

Such a file has an order within each layer and none between layers. Read, the best heads of all layers come first, by layer; then the second
ones, and so on.
"""

import json
import math
import re
from typing import Any

from mechdyn.errors import InputError
from mechdyn.head_files.json_object import is_count, json_object, peek
from mechdyn.head_files.keys import shape_of
from mechdyn.heads import Head, RankedHeads, head_format, shown

_LAYER = re.compile(r"0|[1-9][0-9]{0,8}")


@head_format("compresskv")
class CompressKV:
    """Heads by their rank within the layer, ties by layer."""

    def recognises(self, content: str) -> bool:
        """An object with a list under a whole number; what else stands there `read` refuses by name."""
        return any(re.fullmatch(r"-?[0-9]+", key) and isinstance(row, list) for key, row in peek(content).items())

    def read(self, content: str) -> RankedHeads:
        """The heads without scores; the shape where each layer names the same number of heads, all of them."""
        layers = {_layer(key): _heads(key, row) for key, row in json_object(content).items()}
        placed = sorted((place, layer, head) for layer, row in layers.items() for place, head in enumerate(row))
        heads = tuple(Head(layer, head) for _, layer, head in placed)
        n_layers, n_heads = shape_of(set(heads))
        return RankedHeads(heads, (math.nan,) * len(heads), n_layers, n_heads, "rank within the layer, as CompressKV lists it")

    def write(self, ranked: RankedHeads) -> str:
        """Each layer's heads in the order of the ranking; the order between layers is lost unless it is the one above."""
        layers: dict[int, list[int]] = {}
        for layer, head in ranked.heads:
            layers.setdefault(layer, []).append(head)
        return json.dumps({str(layer): layers[layer] for layer in sorted(layers)})


def _layer(key: str) -> int:
    if not _LAYER.fullmatch(key):
        raise InputError(f"a layer is a whole number from 0, such as '3', got {shown(key)}")
    return int(key)


def _heads(key: str, row: Any) -> list[int]:
    if not isinstance(row, list) or not row:
        raise InputError(f"layer {key} needs a list of at least one head, got {shown(row)}")
    for head in row:
        if not is_count(head):
            raise InputError(f"the heads of layer {key} must be whole numbers from 0, got {shown(head)}")
    return row
