"""Bounds from a bootstrap: bias-corrected and accelerated, and widened for few samples (docs/decisions/bootstrap.md)."""

import math

import numpy as np
import scipy
from jaxtyping import Float

from mechdyn.stats.proportions import Bounds

Values = Float[np.ndarray, " _resample"]

_TIE = 1e-12
"""Share of the estimate's size up to which a resample's value counts as equal to it: rounding."""


def is_constant(values: Values, estimate: float) -> bool:
    """Whether no resample differs from the estimate."""
    return bool((np.abs(values - estimate) <= _TIE * max(1.0, abs(estimate))).all())


def bca_bounds(values: Values, estimate: float, left_out: Float[np.ndarray, " cluster"], level: float) -> Bounds:
    """Quantiles of the resampled statistic, at levels that make up for bias, skewness and few samples.

    The bound at x = ±t √(n / (n − 1)) is the quantile at Φ(z₀ + (z₀ + x) / (1 − a (z₀ + x))) (Efron 1987, eq. 2.3), where

    - z₀ = Φ⁻¹ of the share of resamples below the estimate, those equal to it counting half;
    - a = Σ u³ / (6 (Σ u²)^1.5), u being what leaving out each of the n samples (or clusters) takes from the statistic;
    - t is the quantile of Student's t in place of the normal one, and √(n / (n − 1)) undoes that a bootstrap divides by n (Hesterberg
      2015, section 3.4). We depart in its degrees of freedom: not n − 1, which are right for normal data only, but those that the spread
      of the u's fourth powers gives the variance, 2n / (kurtosis − (n − 3) / (n − 1)). For normal data the two are the same; where a few
      samples make the variance, as in differences that are mostly 0, they are fewer.

    Args:
        values: the statistic of each resample.
        estimate: the statistic of all samples.
        left_out: the statistic without each sample (or cluster) in turn, at least 2.
        level: coverage of the interval.
    """
    n = len(left_out)
    influence = left_out.mean() - left_out
    square = float((influence**2).sum())
    acceleration = float((influence**3).sum()) / (6 * square**1.5) if square else 0.0
    reach = math.sqrt(n / (n - 1)) * float(scipy.special.stdtrit(degrees_of_freedom(left_out), (1 + level) / 2))
    bias = _bias(values, estimate)
    low, high = (_accelerated(bias + sign * reach, bias, acceleration) for sign in (-1, 1))
    bounds = np.quantile(values, scipy.special.ndtr([low, high]))
    return float(bounds[0]), float(bounds[1])


def degrees_of_freedom(left_out: Float[np.ndarray, " cluster"]) -> float:
    """2n / (kurtosis − (n − 3) / (n − 1)), of what leaving out each of n samples takes from a statistic (`bca_bounds`)."""
    n = len(left_out)
    influence = left_out.mean() - left_out
    square = float((influence**2).sum())
    kurtosis = n * float((influence**4).sum()) / square**2 if square else 3.0
    return 2 * n / (kurtosis - (n - 3) / (n - 1))


def _bias(values: Values, estimate: float) -> float:
    """z₀; finite even where every resample lies to one side."""
    tolerance = _TIE * max(1.0, abs(estimate))
    below = np.count_nonzero(values < estimate - tolerance) + 0.5 * np.count_nonzero(np.abs(values - estimate) <= tolerance)
    return float(scipy.special.ndtri(np.clip(below, 0.5, len(values) - 0.5) / len(values)))


def _accelerated(x: float, bias: float, acceleration: float) -> float:
    """z₀ + x / (1 − a x), at its limit where the denominator is used up."""
    room = 1 - acceleration * x
    return bias + x / room if room > 0 else math.copysign(math.inf, x)
