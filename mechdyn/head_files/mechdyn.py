"""mechdyn's own layout: a ranking with what its scores are, whose heads they are and how many samples they rest on."""

import json
import math
from itertools import pairwise
from typing import Any

from mechdyn.errors import InputError
from mechdyn.head_files.json_object import is_finite_number, json_object, peek
from mechdyn.heads import Head, RankedHeads, head_format, shown

FORMAT, VERSION = "mechdyn heads", 1
_FIELDS = {"model": str, "statistic": str, "n": (int, type(None)), "n_layers": (int, type(None)), "n_heads": (int, type(None))}
"""The fields beside the heads, as `RankedHeads` has them, and their types."""


@head_format("mechdyn")
class Mechdyn:
    """JSON that loses nothing; heads best first, a line each, with null for a score that is not known."""

    def recognises(self, content: str) -> bool:
        """The name of the format stands in the file."""
        return peek(content).get("format") == FORMAT

    def read(self, content: str) -> RankedHeads:
        """What `write` wrote."""
        found = json_object(content)
        if found.get("format") != FORMAT:
            raise InputError(f"the field 'format' must be {FORMAT!r}, got {shown(found.get('format'))}")
        if found.get("version") != VERSION:
            raise InputError(f"this mechdyn reads version {VERSION} of the format, got {shown(found.get('version'))}; update mechdyn")
        rows = [_row(row) for row in _list(found.get("heads"))]
        known = [(head, score) for head, score in rows if not math.isnan(score)]
        for (_, before), (head, score) in pairwise(known):
            if score > before:
                raise InputError(f"heads stand in descending order of their scores, {head} has {score} behind {before}")
        options = {name: _field(found, name) for name in _FIELDS}
        return RankedHeads(tuple(head for head, _ in rows), tuple(score for _, score in rows), **options)

    def write(self, ranked: RankedHeads) -> str:
        """The fields on one line, then the heads."""
        fields = {"format": FORMAT, "version": VERSION, **{name: getattr(ranked, name) for name in _FIELDS}}
        rows = [json.dumps([str(head), _written(head, score)]) for head, score in zip(ranked.heads, ranked.scores, strict=True)]
        return json.dumps(fields, ensure_ascii=False)[:-1] + ', "heads": [\n' + ",\n".join(rows) + "\n]}\n"


def _written(head: Head, score: float) -> float | None:
    if math.isinf(score):
        raise InputError(f"the score of {head} is {score}, which JSON cannot hold")
    return None if math.isnan(score) else score


def _list(rows: Any) -> list[Any]:
    if not isinstance(rows, list) or not rows:
        raise InputError(f"the field 'heads' must be a list of at least one [head, score], got {shown(rows)}")
    return rows


def _row(row: Any) -> tuple[Head, float]:
    if not isinstance(row, list) or len(row) != 2 or not isinstance(row[0], str):
        raise InputError(f"an entry of 'heads' is [head, score], such as ['L3H6', 0.25], got {shown(row)}")
    head, score = Head.parse(row[0]), row[1]
    if score is None:
        return head, math.nan
    if not is_finite_number(score):
        raise InputError(f"the score of {head} must be a number, or null where it is not known, got {shown(score)}")
    return head, float(score)


def _field(found: dict[str, Any], name: str) -> Any:
    value = found.get(name)
    if isinstance(value, bool) or not isinstance(value, _FIELDS[name]):  # type: ignore[arg-type]
        raise InputError(f"the field {name!r} is of another kind, got {shown(value)}")
    return value
