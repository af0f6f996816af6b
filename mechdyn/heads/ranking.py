"""Heads ranked by a score."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mechdyn.errors import InputError
from mechdyn.heads.files import write_heads
from mechdyn.heads.head import Head
from mechdyn.heads.head_set import HeadSet
from mechdyn.heads.shape import check_fit, check_head, check_shape


@dataclass(frozen=True)
class Spread:
    """How the scores of one head spread over samples.

    Attributes:
        n: how many samples.
        sd: sample standard deviation (n − 1); NaN where it is not known, or of one sample.
        values: the score of each sample, where a file has them all.
    """

    n: int
    sd: float
    values: tuple[float, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of all samples' scores."""
        n = len(values)
        mean = math.fsum(values) / n
        sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1)) if n > 1 else math.nan
        return cls(n, sd, tuple(values))


@dataclass(frozen=True)
class RankedHeads:
    """Heads in descending order of a score, ties by (layer, head): a static list is its first k.

    `statistic` says in words what the scores are, `model` whose heads these are, and `n` how many samples each score rests on, where that
    is known. The score of a list of which only the order is known is NaN. `spread` tells how each head's scores spread over the samples,
    where a file says it.
    """

    heads: tuple[Head, ...]
    scores: tuple[float, ...]
    n_layers: int | None = None
    n_heads: int | None = None
    statistic: str = ""
    model: str = ""
    n: int | None = None
    spread: tuple[Spread, ...] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_shape(self.n_layers, self.n_heads)
        if len(self.heads) != len(self.scores):
            raise InputError(f"a ranking has a score a head, got {len(self.heads)} heads and {len(self.scores)} scores")
        if self.spread is not None and len(self.heads) != len(self.spread):
            raise InputError(f"a ranking has a spread a head or none, got {len(self.heads)} heads and {len(self.spread)} spreads")
        seen: set[Head] = set()
        for head in self.heads:
            check_head(head, self.n_layers, self.n_heads)
            if head in seen:
                raise InputError(f"a ranking names each head once, got {head} twice")
            seen.add(head)

    def top(self, k: int) -> HeadSet:
        """The first `k` heads."""
        if not 0 < k <= len(self.heads):
            raise InputError(f"top-k needs 1 <= k <= {len(self.heads)} (the heads of the list), got {k}")
        return HeadSet(frozenset(self.heads[:k]), self.n_layers, self.n_heads)

    def first(self, k: int) -> "RankedHeads":
        """The ranking of the first `k` heads alone."""
        self.top(k)
        return replace(self, heads=self.heads[:k], scores=self.scores[:k], spread=self.spread and self.spread[:k])

    def fit(self, n_layers: int, n_heads: int) -> "RankedHeads":
        """The same ranking, of a model with this shape.

        Raises:
            InputError: it is of a model of another shape, or one of its heads lies outside this one.
        """
        check_fit((self.n_layers, self.n_heads), n_layers, n_heads)
        return replace(self, n_layers=n_layers, n_heads=n_heads)

    def save(self, path: str | Path, format: str = "mechdyn") -> None:
        """Write the ranking to a file. What the format has no room for is left out, and the log says what that was.

        Args:
            path: where to; a file that is there is written over.
            format: the name of a head-file format, with options as `name:option=value`. `mechdyn` keeps everything, `wu` is the layout of
                Wu et al. 2024.

        Raises:
            InputError: an unknown format, one that cannot hold this ranking, or a path that cannot be written.
        """
        write_heads(self, path, format)


def rank_heads(scores: Iterable[tuple[Head, float]], n_layers: int | None, n_heads: int | None, statistic: str = "") -> RankedHeads:
    """Sort heads by descending score, ties by (layer, head)."""
    ranked = sorted(scores, key=lambda pair: (-pair[1], pair[0]))
    return RankedHeads(tuple(head for head, _ in ranked), tuple(score for _, score in ranked), n_layers, n_heads, statistic)
