"""A test of paired differences by flipping their signs."""

from dataclasses import dataclass

import numpy as np
import scipy
from jaxtyping import Num

from mechdyn.errors import InputError

PerSample = Num[np.ndarray, " _sample"]

_BATCH_NUMBERS = 4_000_000
"""Signs drawn at a time: 32 MB."""


@dataclass(frozen=True)
class PermutationTest:
    """Mean paired difference and the share of sign flips that reach it; `n` counts the pairs."""

    estimate: float
    p_value: float
    n: int


def permutation_test(
    a: PerSample, b: PerSample, *, alternative: str = "two-sided", seed: int = 0, n_resamples: int = 9999
) -> PermutationTest:
    """Sign-flip test of paired differences: had the condition no effect, a − b and b − a would be equally likely in every pair.

    Exact where there are at most `n_resamples` flips, else sampled. `alternative` is `two-sided`, `greater` (a above b) or `less`. Pairs
    with a NaN are left out; fewer than two pairs give no p-value (NaN).

    Raises:
        InputError: lengths differ, or an unknown `alternative`.
    """
    if alternative not in ("two-sided", "greater", "less"):
        raise InputError(f"alternative must be two-sided, greater or less, got {alternative!r}")
    if len(a) != len(b):
        raise InputError(f"paired conditions need the same samples in the same order, got {len(a)} and {len(b)}")
    differences = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    differences = differences[~np.isnan(differences)]
    if len(differences) < 2:
        return PermutationTest(float(differences.sum()) if len(differences) else float("nan"), float("nan"), len(differences))
    result = scipy.stats.permutation_test(
        (differences,),
        lambda flipped, axis: flipped.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        alternative=alternative,
        n_resamples=n_resamples,
        batch=max(1, _BATCH_NUMBERS // len(differences)),
        rng=np.random.default_rng(seed),
    )
    return PermutationTest(float(differences.mean()), float(result.pvalue), len(differences))
