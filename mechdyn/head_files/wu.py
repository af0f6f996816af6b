"""The layout of Wu et al. 2024 (nightdessert/Retrieval_Head): `{"layer-head": [score, score, ...]}`, a score a sample, on one line.

RetMask, DeCoRe, HeadKV and CompressKV publish lists of their own statistics in the same layout; only their READMEs say which is which.
"""

import json
import math
from typing import Any

from mechdyn.errors import InputError
from mechdyn.head_files.json_object import is_finite_number, json_object, peek
from mechdyn.head_files.keys import head_of, is_like_a_key, key_of, known_scores, ranked_by_mean
from mechdyn.heads import RankedHeads, Spread, head_format, shown

STATISTIC = "mean of the listed scores"


@head_format("wu")
class Wu:
    """Reads the mean of each head's list; the shape where the keys name every head of one, else none."""

    def recognises(self, content: str) -> bool:
        """An object with a list under a key of two numbers; what else stands there `read` refuses by name."""
        return any(is_like_a_key(key) and isinstance(row, list) for key, row in peek(content).items())

    def read(self, content: str) -> RankedHeads:
        """Every head by the mean of its list; `n` is the length of the lists where all have one."""
        return read_score_lists(json_object(content), STATISTIC)

    def write(self, ranked: RankedHeads) -> str:
        """The samples' scores of each head where they are known, else its score alone; in the order of the ranking."""
        return json.dumps(score_lists(ranked, "wu"))


def read_score_lists(rows: dict[str, Any], statistic: str, model: str = "") -> RankedHeads:
    """The ranking by the means of `{"layer-head": [score, ...]}`."""
    heads = {head_of(key): _scores(key, row) for key, row in rows.items()}
    means = {head: math.fsum(scores) / len(scores) for head, scores in heads.items()}
    return ranked_by_mean(means, {head: Spread.of(scores) for head, scores in heads.items()}, statistic=statistic, model=model)


def score_lists(ranked: RankedHeads, format: str) -> dict[str, list[float]]:
    """`{"layer-head": [score, ...]}` of a ranking.

    Raises:
        InputError: a head without a score.
    """
    scores = known_scores(ranked, format)
    spreads = ranked.spread or (None,) * len(ranked.heads)
    return {
        key_of(head): list(spread.values) if spread and spread.values else [scores[head]]
        for head, spread in zip(ranked.heads, spreads, strict=True)
    }


def _scores(key: str, row: Any) -> list[float]:
    if not isinstance(row, list) or not row:
        raise InputError(f"the head {key!r} needs a list of at least one score, got {shown(row)}")
    if not set(map(type, row)) <= {int, float} or not _all_finite(row):
        wrong = next(value for value in row if not is_finite_number(value))
        raise InputError(f"the scores of the head {key!r} must be numbers, got {shown(wrong)}")
    return list(map(float, row))


def _all_finite(row: list[Any]) -> bool:
    try:
        return all(map(math.isfinite, row))
    except OverflowError:
        return False
