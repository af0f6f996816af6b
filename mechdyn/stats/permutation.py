"""A test of paired differences by flipping their signs."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Num

from mechdyn.errors import InputError
from mechdyn.stats.labels import Clusters, cluster_index

PerSample = Num[np.ndarray, " _sample"]
Signs = Float[np.ndarray, "_flip _cluster"]

_BATCH_NUMBERS = 4_000_000
"""Signs drawn at a time: 32 MB."""
_TIE = 1e-12
"""Share of the mean's size up to which that of a flip counts as equal to it: rounding."""


@dataclass(frozen=True)
class PermutationTest:
    """Mean paired difference and the share of sign flips that reach it; `n` counts the pairs."""

    estimate: float
    p_value: float
    n: int


def permutation_test(
    a: PerSample,
    b: PerSample,
    clusters: Clusters | None = None,
    *,
    alternative: str = "two-sided",
    seed: int = 0,
    n_resamples: int = 9999,
) -> PermutationTest:
    """Sign-flip test of paired differences: had the condition no effect, a − b and b − a would be equally likely in every pair.

    Pairs of one cluster depend on each other and are flipped together. Exact where there are at most `n_resamples` flips, else sampled.
    `alternative` is `two-sided` (twice the smaller of the other two), `greater` (a above b) or `less`. Pairs with a NaN are left out; fewer
    than two pairs, or clusters of them, give no p-value (NaN).

    Raises:
        InputError: lengths differ, not one label a pair, or an unknown `alternative`.
    """
    if alternative not in ("two-sided", "greater", "less"):
        raise InputError(f"alternative must be two-sided, greater or less, got {alternative!r}")
    if len(a) != len(b):
        raise InputError(f"paired conditions need the same samples in the same order, got {len(a)} and {len(b)}")
    differences = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    known = ~np.isnan(differences)
    index = cluster_index(clusters, len(differences))[known]
    sums = np.bincount(cluster_index(index.tolist(), len(index)), weights=differences[known])
    n = int(known.sum())
    estimate = float(sums.sum()) / n if n else float("nan")
    if len(sums) < 2:
        return PermutationTest(estimate, float("nan"), n)
    flipped = np.concatenate([signs @ sums for signs in _flips(len(sums), n_resamples, seed)]) / n
    tolerance = _TIE * abs(estimate)
    unseen = 0 if 2 ** len(sums) <= n_resamples else 1
    above, below = (
        (np.count_nonzero(reached) + unseen) / (len(flipped) + unseen)
        for reached in (flipped >= estimate - tolerance, flipped <= estimate + tolerance)
    )
    return PermutationTest(estimate, {"greater": above, "less": below, "two-sided": min(1.0, 2 * min(above, below))}[alternative], n)


def _flips(n: int, n_resamples: int, seed: int) -> Iterator[Signs]:
    """Every flip of n signs where there are few enough, else drawn ones, some at a time."""
    if n * min(2**n, n_resamples) <= _BATCH_NUMBERS:
        yield _all_flips(n, n_resamples, seed)
        return
    rng = np.random.default_rng(seed)
    size = max(1, _BATCH_NUMBERS // n)
    for start in range(0, n_resamples, size):
        yield _drawn(rng, min(size, n_resamples - start), n)


@lru_cache(maxsize=4)
def _all_flips(n: int, n_resamples: int, seed: int) -> Signs:
    """All flips at once; kept, since the same samples are tested again and again."""
    if 2**n <= n_resamples:
        signs = 1.0 - 2.0 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)
    else:
        signs = _drawn(np.random.default_rng(seed), n_resamples, n)
    signs.flags.writeable = False
    return signs


def _drawn(rng: np.random.Generator, n_flips: int, n: int) -> Signs:
    """Flips as `scipy.stats.permutation_test` draws them: for each pair which of the two differences comes first."""
    first = rng.permuted(np.broadcast_to([0, 1], (n_flips, n, 2)), axis=-1)[..., 0]
    return 1.0 - 2.0 * first
