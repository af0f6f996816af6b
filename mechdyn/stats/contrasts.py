"""Do head sets follow the token or the step? Overlap of steps that share one of the two, of the same needle in other orders.

In a family of one needle with its pieces permuted there are pairs of steps of two generations that copy

- the same token at another step, `token`;
- another token at the same step, `step`;
- another token at another step, `neither`, where the two generations have different orders (as the two kinds above always have);
- the same token at the same step, `both`: the same order in another haystack, a retest.

J is the Jaccard of the two steps' heads, over pairs in which both retrieve and which copy the same token of their pieces (where pieces are
several tokens each, first tokens are compared with first ones). It is averaged over the pairs of a needle, then over needles. Were heads
keyed by the token alone, J of `token` would be that of `both`, and J of `step` that of `neither`; so

    share of the token = (J_token − J_neither) / (J_both − J_neither),

1 where nothing but the token decides, 0 where it does not matter; the share of the step likewise. The two do not add up to 1: a list
that is fixed has neither, and heads that go by token and step together have both small. They are only given where J of `both` lies wholly
above that of `neither`: where nothing that is copied matters there is nothing to share. Intervals resample needles.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from mechdyn.errors import InputError
from mechdyn.stats.interval import Interval
from mechdyn.stats.proportions import Bounds
from mechdyn.stats.resampling import DIFFERENCE, UNIT, Statistics, Weights, bootstrap_many
from mechdyn.stats.steps import Steps

PAIRS = ("token", "step", "neither", "both")
"""What two steps have in common."""
_NEEDED = {True: PAIRS[:3], False: PAIRS}
"""Which pairs a needle must have, by whether they are within a haystack: one haystack has no retest."""


@dataclass(frozen=True)
class Contrasts:
    """The quantities of the module's docstring.

    `n_pairs` counts the pairs of steps of each kind, all needles together; `n_silent` those left out because a step does not retrieve.
    `n_needles` have every kind of pair and count. Within a haystack there is no pair that shares both: `both`, what is
    left of it and the shares are NaN, n 0.
    """

    token: Interval
    step: Interval
    neither: Interval
    both: Interval
    token_less_neither: Interval
    step_less_neither: Interval
    token_less_step: Interval
    both_less_neither: Interval
    token_share: Interval
    step_share: Interval
    n_needles: int
    n_pairs: dict[str, int]
    n_silent: int


def contrasts(steps: Steps, *, same_haystack: bool = False, seed: int = 0, n_resamples: int = 2000) -> Contrasts:
    """Contrasts of token and step over all pairs of a needle's steps.

    Args:
        steps: the steps that copy a piece.
        same_haystack: take pairs within one haystack, else pairs in two different ones, as `both` has it. Within a haystack prompts differ
            in the order of some tokens alone, so there is less noise, but no ceiling.
        seed: of the resamples.
        n_resamples: resamples of the needles.

    Raises:
        InputError: no step.
    """
    if not len(steps):
        raise InputError("contrasts need at least one step that copies a piece, got none; the model must answer some needles rightly")
    needles = np.unique(steps.needle)
    found = [_of_needle(steps.at(steps.needle == needle), same_haystack) for needle in needles]
    means, counts = np.array([each.means for each in found]), np.array([each.counts for each in found])
    needed = len(_NEEDED[same_haystack])
    kept = ~np.isnan(means[:, :needed]).any(axis=1)
    n_pairs = dict(zip(PAIRS, counts.sum(axis=0).tolist(), strict=True))
    intervals = _intervals(means[kept, :needed], seed, n_resamples)
    return Contrasts(**intervals, n_needles=int(kept.sum()), n_pairs=n_pairs, n_silent=sum(each.n_silent for each in found))


@dataclass(frozen=True, eq=False)
class _Family:
    """Mean Jaccard of each kind of pair of one needle, NaN where there is none, and how many."""

    means: Float[np.ndarray, " kind"]
    counts: Int[np.ndarray, " kind"]
    n_silent: int


def _of_needle(steps: Steps, same_haystack: bool) -> _Family:
    jaccard = _jaccards(steps.sets)
    first, second = np.triu_indices(len(steps), 1)

    def same(label: str) -> Bool[np.ndarray, " pair"]:
        values = getattr(steps, label)
        return values[first] == values[second]

    compared = (same("haystack") == same_haystack) & same("within")
    token, step, order = same("token"), same("step"), same("order")
    kinds = (token & ~step & ~order, step & ~token & ~order, ~token & ~step & ~order, token & step & order)
    retrieving = steps.retrieving[first] & steps.retrieving[second]
    values = jaccard[first, second]
    chosen = [kind & compared & retrieving for kind in kinds]
    silent = sum(int((kind & compared & ~retrieving).sum()) for kind in kinds)
    means = [float(values[pairs].mean()) if pairs.any() else math.nan for pairs in chosen]
    return _Family(np.array(means), np.array([int(pairs.sum()) for pairs in chosen]), silent)


def _jaccards(sets: Bool[np.ndarray, "row head"]) -> Float[np.ndarray, "row row"]:
    """0 for two empty sets, which are left out later."""
    numbers = sets.astype(np.float64)
    shared, sizes = numbers @ numbers.T, numbers.sum(axis=1)
    union = sizes[:, None] + sizes[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _intervals(means: Float[np.ndarray, "needle kind"], seed: int, n_resamples: int) -> dict[str, Interval]:
    """From the means of each kind of pair by needle; without `both` there are neither that nor shares."""
    n_needles, n_kinds = means.shape

    def levels(weights: Weights) -> Float[np.ndarray, "resample kind"]:
        return weights @ means / weights.sum(axis=1, keepdims=True)

    def differences(weights: Weights) -> Float[np.ndarray, "resample 3"]:
        token, step, neither = levels(weights)[:, :3].T
        return np.column_stack([token - neither, step - neither, token - step])

    def shares(weights: Weights) -> Float[np.ndarray, "resample 2"]:
        token, step, neither, both = levels(weights).T
        room = both - neither
        return np.column_stack([np.divide(part - neither, room, out=np.full_like(room, np.nan), where=room > 0) for part in (token, step)])

    def room(weights: Weights) -> Float[np.ndarray, "resample 1"]:
        found = levels(weights)
        return found[:, 3:] - found[:, 2:3]

    missing = Interval(math.nan, math.nan, math.nan, 0)
    found = dict.fromkeys(("both", "both_less_neither", "token_share", "step_share"), missing)

    def measure(names: tuple[str, ...], statistic: Statistics, limits: Bounds) -> None:
        made = (missing,) * len(names)
        if n_needles:
            made = bootstrap_many(statistic, n_needles, limits=limits, seed=seed, n_resamples=n_resamples)
        found.update(zip(names, made, strict=True))

    measure(PAIRS[:n_kinds], levels, UNIT)
    measure(("token_less_neither", "step_less_neither", "token_less_step"), differences, DIFFERENCE)
    if n_kinds == len(PAIRS):
        measure(("both_less_neither",), room, DIFFERENCE)
        if found["both_less_neither"].low > 0:
            measure(("token_share", "step_share"), shares, UNIT)
    return found
