"""Means with their spread: `{"statistic": …, "scores": {"layer-head": [mean, sd, n]}}`, small where Wu's layout is large.

`sd` is the sample standard deviation, null where it is not known or of one sample; `n` is null where it is not known. Other fields of the
object, such as where the numbers were taken from, are read over.
"""

import json
import math
from typing import Any

from mechdyn.errors import InputError
from mechdyn.head_files.json_object import is_count, is_finite_number, json_object, peek, text_of
from mechdyn.head_files.keys import head_of, key_of, known_scores, ranked_by_mean
from mechdyn.heads import RankedHeads, Spread, head_format, shown


@head_format("means")
class Means:
    """Keeps statistic, model, mean, spread and n; the scores of single samples are lost."""

    def recognises(self, content: str) -> bool:
        """Scores by key under `scores`, and no `meta`, which LOCOS has."""
        found = peek(content)
        return isinstance(found.get("scores"), dict) and "meta" not in found

    def read(self, content: str) -> RankedHeads:
        """Every head by its mean."""
        found = json_object(content)
        if not isinstance(found.get("scores"), dict) or not found["scores"]:
            raise InputError(f"the field 'scores' must be an object with an entry a head, got {shown(found.get('scores'))}")
        rows = {head_of(key): _row(key, row) for key, row in found["scores"].items()}
        means = {head: float(mean) for head, (mean, _, _) in rows.items()}
        all_counted = all(n is not None for _, _, n in rows.values())
        spreads = {head: Spread(n, math.nan if sd is None else float(sd)) for head, (_, sd, n) in rows.items()} if all_counted else None
        return ranked_by_mean(means, spreads, statistic=text_of(found, "statistic"), model=text_of(found, "model"))

    def write(self, ranked: RankedHeads) -> str:
        """In the order of the ranking."""
        scores = known_scores(ranked, "means")
        spreads = ranked.spread or (None,) * len(ranked.heads)
        rows = {key_of(head): _written(scores[head], spread, ranked.n) for head, spread in zip(ranked.heads, spreads, strict=True)}
        return json.dumps({"statistic": ranked.statistic, "model": ranked.model, "scores": rows}, ensure_ascii=False)


def _row(key: str, row: Any) -> tuple[Any, Any, Any]:
    if not isinstance(row, list) or len(row) != 3:
        raise InputError(f"the head {key!r} needs [mean, sd, n], got {shown(row)}")
    mean, sd, n = row
    if not is_finite_number(mean):
        raise InputError(f"the mean of the head {key!r} must be a number, got {shown(mean)}")
    if sd is not None and (not is_finite_number(sd) or sd < 0):
        raise InputError(f"the sd of the head {key!r} must be a number from 0, or null where it is not known, got {shown(sd)}")
    if n is not None and (not is_count(n) or n == 0):
        raise InputError(f"the n of the head {key!r} must be a whole number from 1, or null where it is not known, got {shown(n)}")
    return mean, sd, n


def _written(mean: float, spread: Spread | None, n: int | None) -> list[float | int | None]:
    if spread is None:
        return [mean, None, n]
    return [mean, None if math.isnan(spread.sd) else spread.sd, spread.n]
