"""mechdyn's own layout: a ranking with what its scores are, whose heads they are and how many samples they rest on."""

import json
import math
from itertools import pairwise
from typing import Any

from mechdyn.errors import InputError
from mechdyn.head_files.json_object import is_finite_number, json_object, peek
from mechdyn.heads import Head, RankedHeads, Spread, head_format, shown

FORMAT = "mechdyn heads"
VERSIONS = (1, 2)
"""A list without spread is written as version 1, which earlier mechdyns read."""
_FIELDS: dict[str, Any] = {
    "model": str,
    "statistic": str,
    "n": (int, type(None)),
    "n_layers": (int, type(None)),
    "n_heads": (int, type(None)),
}
"""The fields beside the heads, as `RankedHeads` has them, and their types."""


@head_format("mechdyn")
class Mechdyn:
    """JSON that loses nothing; heads best first, a line each: [head, score], with null for a score that is not known.

    In version 2 a third entry tells how the head's scores spread over samples: the list of them, or an object of `n` and `sd`.
    """

    def recognises(self, content: str) -> bool:
        """The name of the format stands in the file."""
        return peek(content).get("format") == FORMAT

    def read(self, content: str) -> RankedHeads:
        """What `write` wrote."""
        found = json_object(content)
        if found.get("format") != FORMAT:
            raise InputError(f"the field 'format' must be {FORMAT!r}, got {shown(found.get('format'))}")
        version = found.get("version")
        if isinstance(version, bool) or version not in VERSIONS:
            raise InputError(f"this mechdyn reads versions 1 and 2 of the format, got {shown(version)}; update mechdyn")
        entries = _list(found.get("heads"))
        rows = [_row(row, 2 if version == 1 else 3) for row in entries]
        spread = None if version == 1 else tuple(_spread(row[0], row[2]) for row in entries)
        known = [(head, score) for head, score in rows if not math.isnan(score)]
        for (_, before), (head, score) in pairwise(known):
            if score > before:
                raise InputError(f"heads stand in descending order of their scores, {head} has {score} behind {before}")
        options = {name: _field(found, name) for name in _FIELDS}
        return RankedHeads(tuple(head for head, _ in rows), tuple(score for _, score in rows), spread=spread, **options)

    def write(self, ranked: RankedHeads) -> str:
        """The fields on one line, then the heads."""
        fields = {"format": FORMAT, "version": 1 if ranked.spread is None else 2, **{name: getattr(ranked, name) for name in _FIELDS}}
        spreads = ((),) * len(ranked.heads) if ranked.spread is None else ((_spread_written(each),) for each in ranked.spread)
        rows = [
            json.dumps([str(head), _written(head, score), *spread])
            for head, score, spread in zip(ranked.heads, ranked.scores, spreads, strict=True)
        ]
        return json.dumps(fields, ensure_ascii=False)[:-1] + ', "heads": [\n' + ",\n".join(rows) + "\n]}\n"


def _written(head: Head, score: float) -> float | None:
    if math.isinf(score):
        raise InputError(f"the score of {head} is {score}, which JSON cannot hold")
    return None if math.isnan(score) else score


def _list(rows: Any) -> list[Any]:
    if not isinstance(rows, list) or not rows:
        raise InputError(f"the field 'heads' must be a list of at least one [head, score], got {shown(rows)}")
    return rows


def _row(row: Any, length: int) -> tuple[Head, float]:
    if not isinstance(row, list) or len(row) != length or not isinstance(row[0], str):
        wanted = "[head, score], such as ['L3H6', 0.25]" if length == 2 else "[head, score, spread], such as ['L3H6', 0.25, [0, 0.5]]"
        raise InputError(f"an entry of 'heads' is {wanted}, got {shown(row)}")
    head, score = Head.parse(row[0]), row[1]
    if score is None:
        return head, math.nan
    if not is_finite_number(score):
        raise InputError(f"the score of {head} must be a number, or null where it is not known, got {shown(score)}")
    return head, float(score)


def _spread(head: str, written: Any) -> Spread:
    """The list of a head's scores, or an object of n and sd."""
    if isinstance(written, list) and written and all(map(is_finite_number, written)):
        return Spread.of(list(map(float, written)))
    if isinstance(written, dict):
        n, sd = written.get("n"), written.get("sd")
        if isinstance(n, int) and not isinstance(n, bool) and n > 0 and (sd is None or is_finite_number(sd)):
            return Spread(n, math.nan if sd is None else float(sd))
    raise InputError(f"the spread of {head} is a list of scores, or an object of n and sd, got {shown(written)}")


def _spread_written(spread: Spread) -> Any:
    if spread.values:
        return list(spread.values)
    return {"n": spread.n, "sd": None if math.isnan(spread.sd) else spread.sd}


def _field(found: dict[str, Any], name: str) -> Any:
    value = found.get(name)
    if isinstance(value, bool) or not isinstance(value, _FIELDS[name]):
        raise InputError(f"the field {name!r} is of another kind, got {shown(value)}")
    return value
