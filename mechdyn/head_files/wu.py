"""The layout of Wu et al. 2024 (nightdessert/Retrieval_Head): `{"layer-head": [score, score, ...]}`, a score a sample, on one line."""

import json
import math
import re
from dataclasses import replace
from typing import Any

from mechdyn.errors import InputError
from mechdyn.head_files.json_object import is_finite_number, json_object, peek
from mechdyn.heads import Head, RankedHeads, head_format, rank_heads, shown

_KEY = re.compile(r"(0|[1-9][0-9]{0,8})-(0|[1-9][0-9]{0,8})")
_TWO_NUMBERS = re.compile(r"-?[0-9]+[^0-9]+[0-9]+")
STATISTIC = "mean of the listed scores"


@head_format("wu")
class Wu:
    """Reads the mean of each head's list; the shape where the keys name every head of one, else none."""

    def recognises(self, content: str) -> bool:
        """An object of lists under keys of two numbers each."""
        found = peek(content)
        return bool(found) and any(_TWO_NUMBERS.fullmatch(key) for key in found) and all(isinstance(row, list) for row in found.values())

    def read(self, content: str) -> RankedHeads:
        """Every head by the mean of its list; `n` is the length of the lists where all have one."""
        rows = json_object(content)
        heads = {_head(key): _scores(key, row) for key, row in rows.items()}
        lengths = {len(scores) for scores in heads.values()}
        ranked = rank_heads(((head, math.fsum(scores) / len(scores)) for head, scores in heads.items()), *_shape(heads))
        return replace(ranked, statistic=STATISTIC, n=lengths.pop() if len(lengths) == 1 else None)

    def write(self, ranked: RankedHeads) -> str:
        """A list of one score a head, in the order of the ranking; what the scores are is lost."""
        unknown = [str(head) for head, score in zip(ranked.heads, ranked.scores, strict=True) if not math.isfinite(score)]
        if unknown:
            raise InputError(f"the format wu holds a number for each head, {unknown[0]} has none; save the ranking as mechdyn")
        return json.dumps({f"{layer}-{head}": [score] for (layer, head), score in zip(ranked.heads, ranked.scores, strict=True)})


def _head(key: str) -> Head:
    match = _KEY.fullmatch(key)
    if match is None:
        raise InputError(f"a head is written there as 'layer-head', such as '3-4', got {shown(key)}")
    return Head(int(match[1]), int(match[2]))


def _scores(key: str, row: Any) -> list[float]:
    if not isinstance(row, list) or not row:
        raise InputError(f"the head {key!r} needs a list of at least one score, got {shown(row)}")
    for value in row:
        if not is_finite_number(value):
            raise InputError(f"the scores of the head {key!r} must be numbers, got {shown(value)}")
    return [float(value) for value in row]


def _shape(heads: dict[Head, list[float]]) -> tuple[int, int] | tuple[None, None]:
    """Layers and heads a layer; unknown where the list leaves some out, since more may lie behind the last one."""
    n_layers, n_heads = (max(numbers) + 1 for numbers in zip(*heads, strict=True))
    return (n_layers, n_heads) if len(heads) == n_layers * n_heads else (None, None)
