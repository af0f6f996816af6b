"""p-values from 95 % intervals: how improbable the estimate were, had the truth been at a bound.

A criterion asks whether an interval lies wholly to one side of a bound. Its one-sided p is the smallest α for which the interval of level
1 − 2α still does, so that p < 0.025 just where the criterion is met. At other levels the bounds are found from those at 95 % by what the
interval's method is:

- Wilson: the bounds give the (effective) size n, and z = |share − bound| / √(bound (1 − bound) / n) is exact.
- Tango: the discordant pairs are those whose bounds these are, and the score statistic at the bound is exact. In clusters the effective
  number is not to be had from the bounds, and neither is p.
- Bootstrap: a bound at reach t is proportional to Student's t with the interval's own degrees of freedom (`mechdyn.stats.bca`), or n − 1
  where a file does not say; so p is the tail of that distribution beyond t₀.₉₇₅ · |estimate − bound| / |estimate − facing end|. The share
  of resamples beyond the bound would be p as well, but 2,000 of them know nothing of tails below 0.001.
- Over samples and seeds (`mechdyn.stats.seeds`): the same, where the degrees of freedom are known.
- no spread: all n clusters gave the same, so that a share of z² / (n + z²) of the population may be otherwise.

There is no p for an interval without bounds, of a method that is none of these, or whose estimate lies beyond its own end.
"""

import math

import scipy

from mechdyn.stats.interval import Interval
from mechdyn.stats.means import CLUSTER_WILSON, TANGO, WILSON
from mechdyn.stats.proportions import normal_quantile
from mechdyn.stats.resampling import BOOTSTRAP, CLUSTER_BOOTSTRAP, NO_SPREAD
from mechdyn.stats.seeds import SEEDS

LEVEL = 0.95
"""Of the intervals that p is made from."""
_Z = normal_quantile(LEVEL)


def p_above(interval: Interval, bound: float) -> float | None:
    """One-sided p of the truth being at `bound` or below; under 0.025 where the 95 % interval lies wholly above."""
    return _tail(interval, bound, 1.0)


def p_below(interval: Interval, bound: float) -> float | None:
    """One-sided p of the truth being at `bound` or above; under 0.025 where the 95 % interval lies wholly below."""
    return _tail(interval, bound, -1.0)


def _tail(interval: Interval, bound: float, side: float) -> float | None:
    """The tail on the side of the bound that the estimate should not lie on; above one half where it does."""
    if any(math.isnan(value) for value in (interval.estimate, interval.low, interval.high, bound)):
        return None
    if interval.estimate == bound:
        return 0.5
    at = _beyond(interval, bound)
    if at is None:
        return None
    return at if (interval.estimate - bound) * side > 0 else 1.0 - at


def _beyond(interval: Interval, bound: float) -> float | None:
    """The tail beyond the estimate as seen from the bound."""
    facing = interval.low if bound < interval.estimate else interval.high
    reach, distance = abs(interval.estimate - facing), abs(interval.estimate - bound)
    if interval.method in (WILSON, CLUSTER_WILSON):
        return _normal_tail(_wilson(interval, bound))
    if interval.method == TANGO:
        return _normal_tail(_tango(interval, bound))
    if reach == 0 or (facing < interval.estimate) != (bound < interval.estimate):
        return None
    if interval.method == NO_SPREAD:
        return _normal_tail(_unseen(interval, distance / reach))
    if interval.method in (BOOTSTRAP, CLUSTER_BOOTSTRAP) or (interval.method == SEEDS and interval.freedom):
        freedom = interval.freedom or interval.n - 1
        return float(scipy.special.stdtr(freedom, -scipy.special.stdtrit(freedom, (1 + LEVEL) / 2) * distance / reach))
    return None


def _normal_tail(z: float | None) -> float | None:
    return None if z is None else float(scipy.special.ndtr(-z))


def _wilson(interval: Interval, bound: float) -> float | None:
    """z at the bound, the size being that which gives the interval."""
    end = interval.low if interval.estimate - interval.low > interval.high - interval.estimate else interval.high
    if bound <= 0 or bound >= 1:
        return math.inf
    n = (_Z / (interval.estimate - end)) ** 2 * end * (1 - end)
    return abs(interval.estimate - bound) * math.sqrt(n / (bound * (1 - bound)))


def _tango(interval: Interval, bound: float) -> float:
    """z at the bound: the number of discordant pairs follows from where the interval ends, at which z is known (`proportions.tango`)."""
    n, net = interval.n, interval.estimate * interval.n
    end = interval.low if interval.estimate - interval.low > interval.high - interval.estimate else interval.high
    spread = end * (1 - end)
    q = ((net - n * end) ** 2 / (_Z**2 * n) - spread) / 2
    discordant = (2 * n * q**2 + (2 * n - net) * end * q + net * spread / 2) / (q + spread / 2)
    second_only = (discordant - net) / 2
    linear = discordant - (2 * n - net) * bound
    q = (linear + math.sqrt(max(0.0, linear**2 + 8 * n * second_only * bound * (1 - bound)))) / (4 * n)
    variance = n * (2 * q + bound * (1 - bound))
    return abs(net - n * bound) / math.sqrt(variance) if variance > 0 else math.inf


def _unseen(interval: Interval, ratio: float) -> float:
    """z whose interval ends at the bound, `ratio` times as far away as the one at 95 % does."""
    n = (interval.freedom or interval.n - 1) + 1
    share = ratio * _Z**2 / (n + _Z**2)
    return math.sqrt(n * share / (1 - share)) if share < 1 else math.inf
