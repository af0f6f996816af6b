"""Score intervals of proportions: Wilson's for one, Tango's for the difference of two that are paired.

Neither ever has width 0: 40 right answers of 40 give [0.912, 1.000]. Both take a number of observations that need not be whole, since
samples that depend on each other count as fewer (`effective_size`).
"""

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import scipy
from jaxtyping import Float

from mechdyn.errors import InputError

Bounds: TypeAlias = tuple[float, float]
Number: TypeAlias = float | int

_STEP = 1e-9


def normal_quantile(level: float) -> float:
    """z of a two-sided interval: 1.96 for 0.95.

    Raises:
        InputError: `level` outside (0, 1).
    """
    if not 0.0 < level < 1.0:
        raise InputError(f"level must lie between 0 and 1, got {level}; 0.95 gives a 95 % interval")
    return float(scipy.special.ndtri((1 + level) / 2))


def wilson(share: float, n: Number, z: float) -> Bounds:
    """The proportions p with |share − p| ≤ z √(p (1 − p) / n) (Wilson 1927).

    In closed form (share + z²/2n ± z √(share (1 − share)/n + z²/4n²)) / (1 + z²/n).
    """
    middle = share + z * z / (2 * n)
    reach = z * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    low, high = ((middle + sign * reach) / (1 + z * z / n) for sign in (-1, 1))
    return max(0.0, low) if share > 0 else 0.0, min(1.0, high) if share < 1 else 1.0


def unseen(n: Number, z: float) -> float:
    """z² / (n + z²): Wilson's upper bound of a proportion of which `n` observations show nothing (9 % for 40, 4 % for 100).

    So large a share of what was drawn from may be otherwise than all that was seen.
    """
    return z * z / (n + z * z)


def tango(first_only: Number, second_only: Number, n: Number, z: float) -> Bounds:
    """The differences δ = p₁ − p₂ of paired proportions that a score test does not refuse (Tango 1998).

    With b pairs in which only the first succeeds and c in which only the second does, of n in all:
    |b − c − nδ| ≤ z √(n (2 q + δ (1 − δ))), q being the maximum-likelihood estimate of the probability of c where the difference is δ:
    the larger root of 2n q² − (b + c − (2n − b + c) δ) q − c δ (1 − δ) = 0.
    """
    estimate = (first_only - second_only) / n

    def excess(delta: float) -> float:
        """How far the score statistic at `delta` is beyond z, squared and without the denominator, which may be 0."""
        linear = first_only + second_only - (2 * n - first_only + second_only) * delta
        q = (linear + math.sqrt(max(0.0, linear**2 + 8 * n * second_only * delta * (1 - delta)))) / (4 * n)
        variance = max(0.0, n * (2 * q + delta * (1 - delta)))
        return (first_only - second_only - n * delta) ** 2 - z * z * variance

    low, high = (_root_between(excess, estimate, end) for end in (-1.0, 1.0))
    return low, high


def _root_between(excess: Callable[[float], float], inside: float, end: float) -> float:
    """Where the score test turns from accepting, near the estimate, to refusing; the end of the range where it accepts throughout."""
    start = inside + _STEP * (end - inside)  # at the estimate itself, without any discordant pair, it does neither
    return end if inside == end or excess(end) <= 0 else float(scipy.optimize.brentq(excess, start, end, xtol=1e-12))


def effective_size(hits: Float[np.ndarray, " cluster"], trials: Float[np.ndarray, " cluster"]) -> float:
    """How many independent trials would tell a share as well as these do, which come in clusters.

    p (1 − p) / V with p = Σ hits / Σ trials and the linearised variance V = G / (G − 1) · Σ (hits_g − p trials_g)² / (Σ trials)² over the
    G clusters (Kish 1965; Korn and Graubard 1998): never more than there are trials. Where all hit or none does, V is 0 and says nothing;
    then each cluster counts as one trial, as if it could only hit or miss as a whole.
    """
    n_clusters, total = len(trials), float(trials.sum())
    share = float(hits.sum()) / total
    if share in (0.0, 1.0):
        return float(n_clusters)
    residual = hits - share * trials
    variance = n_clusters / (n_clusters - 1) * float((residual**2).sum()) / total**2
    return total if variance <= 0 else min(total, share * (1 - share) / variance)
