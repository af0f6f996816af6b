"""Intervals by sample: the one way mechdyn draws uncertainty (docs/definitions.md, "Intervals").

Steps of one sample depend on each other, so every interval resamples whole samples. Bounds are percentiles of the resampled statistic (BCa
gives NaN on constant data, which retrieval sets often are). Fewer than two samples give NaN bounds with `n`: no interval is made up.
"""

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Int, Num
from scipy import stats

from mechdyn.errors import InputError

Draws: TypeAlias = Int[np.ndarray, "resample sample"]
PerSample: TypeAlias = Num[np.ndarray, " _sample"]
PerResample: TypeAlias = Num[np.ndarray, " resample"]

_BATCH_NUMBERS = 4_000_000
"""Indices drawn at a time: 32 MB."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval; `n` counts the samples it rests on. Bounds are NaN where there is none."""

    estimate: float
    low: float
    high: float
    n: int

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Interval":
        """From its fields, among others; null, which JSON has for NaN, is NaN again."""
        estimate, low, high = (math.nan if values[name] is None else values[name] for name in ("estimate", "low", "high"))
        return cls(estimate, low, high, values["n"])

    def __format__(self, spec: str) -> str:
        """`f"{interval:.2f}"` formats all three numbers; without a spec it is `.3f`."""
        spec = spec or ".3f"
        return f"{self.estimate:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"

    def __str__(self) -> str:
        return format(self)


@dataclass(frozen=True)
class PermutationTest:
    """Mean paired difference and the share of sign flips that reach it; `n` counts the pairs."""

    estimate: float
    p_value: float
    n: int


def bootstrap(
    statistic: Callable[[Draws], PerResample],
    n_samples: int,
    *,
    seed: int = 0,
    n_resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap over samples.

    Args:
        statistic: takes sample indices, one row a resample, and gives one number a row. A row may repeat a sample.
        n_samples: samples to draw from, and how many each resample draws.
        seed: the same seed and number of samples draw the same resamples, whatever the statistic.
        n_resamples: resamples.
        level: coverage of the interval.

    Returns:
        The statistic of all samples once, with its interval. Bounds are NaN for fewer than two samples, and where the statistic of any
        resample is NaN; no sample at all gives NaN throughout.

    Raises:
        InputError: `level` outside (0, 1), or fewer than 1 resample.
    """
    if n_samples == 0:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    (interval,) = bootstrap_many(lambda draws: statistic(draws)[:, None], n_samples, seed=seed, n_resamples=n_resamples, level=level)
    return interval


def bootstrap_many(
    statistic: Callable[[Draws], Float[np.ndarray, "resample value"]],
    n_samples: int,
    *,
    seed: int = 0,
    n_resamples: int = 2000,
    level: float = 0.95,
) -> tuple[Interval, ...]:
    """`bootstrap` of several numbers at once, from the same resamples: `statistic` gives one row of them a resample.

    Raises:
        InputError: no sample, `level` outside (0, 1), or fewer than 1 resample.
    """
    if n_samples < 1:
        raise InputError(f"a bootstrap of several numbers needs at least 1 sample, got {n_samples}")
    if not 0.0 < level < 1.0:
        raise InputError(f"level must lie between 0 and 1, got {level}; 0.95 gives a 95 % interval")
    if n_resamples < 1:
        raise InputError(f"n_resamples must be at least 1, got {n_resamples}; 2000 is the default")
    everyone = np.arange(n_samples)
    estimates = statistic(everyone[None])[0]
    bounds = np.full((len(estimates), 2), np.nan)
    if n_samples > 1:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # NaN bounds say it
            drawn = stats.bootstrap(
                (everyone,),
                lambda draws, axis: statistic(draws).T,
                vectorized=True,
                method="percentile",
                n_resamples=n_resamples,
                confidence_level=level,
                batch=max(1, _BATCH_NUMBERS // n_samples),
                rng=np.random.default_rng(seed),
            )
        bounds = np.stack(drawn.confidence_interval, axis=-1)
        bounds[np.isnan(estimates)] = np.nan
    rows = zip(estimates.tolist(), bounds.tolist(), strict=True)
    return tuple(Interval(estimate, low, high, n_samples) for estimate, (low, high) in rows)


def draw_weights(draws: Draws, n_samples: int) -> Float[np.ndarray, "resample sample"]:
    """How often each row of `draws` holds each sample: a statistic of sums is then a matrix product over samples."""
    n_resamples = len(draws)
    flat = draws + n_samples * np.arange(n_resamples)[:, None]
    return np.bincount(flat.ravel(), minlength=n_resamples * n_samples).reshape(n_resamples, n_samples).astype(np.float64)


def bootstrap_mean(sums: PerSample, counts: PerSample, *, seed: int = 0, n_resamples: int = 2000, level: float = 0.95) -> Interval:
    """Mean pooled over steps, resampled by sample: Σ sums / Σ counts.

    `sums` and `counts` hold each sample's sum over its steps and how many steps that were. A sample with no step has no say: it is left
    out, and `n` counts the rest. For a mean over samples, `counts` are ones.

    Raises:
        InputError: lengths differ, a negative count, or a sum that is not finite though its count is above 0.
    """
    if len(sums) != len(counts):
        raise InputError(f"sums and counts need one entry a sample each, got {len(sums)} and {len(counts)}")
    if (counts < 0).any():
        raise InputError(f"counts must be 0 or more, got {counts.min()}")
    valid = counts > 0
    if not np.isfinite(sums[valid]).all():
        raise InputError("sums must be finite where counts are above 0; leave undefined steps out of both")
    sums, counts = sums[valid].astype(np.float64), counts[valid].astype(np.float64)

    def ratio(draws: Draws) -> PerResample:
        weights = draw_weights(draws, len(sums))
        return (weights @ sums) / (weights @ counts)

    return bootstrap(ratio, len(sums), seed=seed, n_resamples=n_resamples, level=level)


def paired_difference(a: PerSample, b: PerSample, *, seed: int = 0, n_resamples: int = 2000, level: float = 0.95) -> Interval:
    """Mean over samples of a − b, the same sample under two conditions. Pairs with a NaN are left out; `n` counts the rest.

    Raises:
        InputError: lengths differ.
    """
    differences = _differences(a, b)
    return bootstrap_mean(differences, np.ones(len(differences)), seed=seed, n_resamples=n_resamples, level=level)


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
    differences = _differences(a, b)
    if len(differences) < 2:
        return PermutationTest(float(differences.sum()) if len(differences) else float("nan"), float("nan"), len(differences))
    result = stats.permutation_test(
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


def _differences(a: PerSample, b: PerSample) -> PerSample:
    """Differences a − b of the complete pairs."""
    if len(a) != len(b):
        raise InputError(f"paired conditions need the same samples in the same order, got {len(a)} and {len(b)}")
    differences = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    return differences[~np.isnan(differences)]
