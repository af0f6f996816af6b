"""Do the same heads serve several tasks? Each task's static list, the lists against each other, and what noise alone would make of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float, Int

from mechdyn.errors import InputError
from mechdyn.heads import RankedHeads
from mechdyn.stats.head_lists import TOP
from mechdyn.stats.overlap import static_ranking
from mechdyn.studies.head_lists import Comparison, compare_lists
from mechdyn.tasks.task import is_correct
from mechdyn.traces.trace import Trace

LEAST = 4
"""Right answers that a task's list must rest on: two halves of two."""
SPLITS = 20


@dataclass(frozen=True)
class SharedPair:
    """How far the heads of two tasks agree, beside how far each task's agree with themselves.

    All lists are the first k heads from as many samples: half of those of the task that has fewer. Means are over random halves.

    Attributes:
        first: a task.
        second: another.
        between: mean Jaccard of a half of the one and a half of the other.
        within: mean Jaccard of two halves of one task, the mean over both tasks: what `between` would be if the same heads served both.
        difference: within − between; 0 where the task makes no difference.
        low: the 2.5 % quantile of the difference where samples are dealt out to the two tasks at random.
        high: the 97.5 % quantile.
        p: how probable so great a difference is there; at least 1 / (deals + 1).
    """

    first: str
    second: str
    between: float
    within: float
    difference: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, eq=False)
class SharedHeads:
    """Lists of heads by task and how far they agree.

    Attributes:
        comparison: the lists of all right samples against each other, with the overlap that random lists have (`stats.head_lists`).
        n_right: the samples that each list rests on.
        pairs: every two tasks, beside what noise alone gives.
    """

    comparison: Comparison
    n_right: Mapping[str, int]
    pairs: tuple[SharedPair, ...]


def shared_heads(traces: Mapping[str, Sequence[Trace]], k: int = TOP, *, n_deals: int = 999, seed: int = 0) -> SharedHeads:
    """Compare the heads that serve several tasks on one model.

    A task's list is that of docs/definitions.md, "Static heads": heads by their mean score over the steps of its right samples. Heads that
    never score are left out, so a list may have fewer than k. Two lists from few samples differ by noise alone; how much is told by halves
    of one task's samples, and whether two tasks differ more by a permutation test: would so great a difference come about if it did not
    matter which task a sample is of?

    Args:
        traces: by task, or by whatever tells samples apart; all of one model and one score, no head switched off.
        k: how many heads of each list are compared.
        n_deals: how often samples are dealt out anew.
        seed: draws halves and deals.

    Raises:
        InputError: fewer than two tasks, fewer than 4 right samples of one, a task of which no head scores, or traces of several models.
    """
    if len(traces) < 2:
        raise InputError(f"at least two tasks are compared, got {len(traces)}")
    right = {name: [each for each in found if _is_right(each)] for name, found in traces.items()}
    for name, found in right.items():
        if len(found) < LEAST:
            raise InputError(
                f"{name}: {len(found)} of {len(traces[name])} samples were answered rightly, {LEAST} are needed; give more samples"
            )
    lists = {name: _that_score(name, static_ranking(found)) for name, found in right.items()}
    sums = {name: _Sums.of(found) for name, found in right.items()}
    rng = np.random.default_rng(seed)
    pairs = tuple(_pair(names, (sums[names[0]], sums[names[1]]), k, n_deals, rng) for names in combinations(lists, 2))
    return SharedHeads(compare_lists(lists, k), {name: len(found) for name, found in right.items()}, pairs)


@dataclass(frozen=True, eq=False)
class _Sums:
    """For each sample the sum of every head's scores over its steps, and the number of steps."""

    scores: Float[np.ndarray, "sample head"]
    steps: Float[np.ndarray, " sample"]

    @classmethod
    def of(cls, traces: Sequence[Trace]) -> "_Sums":
        scores = np.stack([trace.retrieval_scores.double().sum(dim=0).flatten().numpy() for trace in traces])
        return cls(scores, np.array([trace.n_steps for trace in traces], dtype=np.float64))

    def chosen(self, samples: Int[np.ndarray, " sample"]) -> "_Sums":
        return _Sums(self.scores[samples], self.steps[samples])

    def halves(self, size: int, k: int, rng: np.random.Generator) -> tuple[Bool[np.ndarray, "split head"], Bool[np.ndarray, "split head"]]:
        """The first k heads of two disjoint sets of `size` samples, for each of some random splits."""
        orders = rng.permuted(np.tile(np.arange(len(self.steps)), (SPLITS, 1)), axis=1)
        return self._tops(orders[:, :size], k), self._tops(orders[:, size : 2 * size], k)

    def _tops(self, chosen: Int[np.ndarray, "split chosen"], k: int) -> Bool[np.ndarray, "split head"]:
        """The first k heads by mean score over the steps, ties by (layer, head), of those that score at all."""
        means = self.scores[chosen].sum(axis=1) / self.steps[chosen].sum(axis=1, keepdims=True)
        first = np.argsort(-means, axis=1, kind="stable")[:, :k]
        tops = np.zeros(means.shape, dtype=bool)
        np.put_along_axis(tops, first, np.take_along_axis(means, first, axis=1) > 0, axis=1)
        return tops


def _is_right(trace: Trace) -> bool:
    return trace.n_steps > 0 and is_correct(trace.task, trace.text, trace.answer)


def _that_score(name: str, ranking: RankedHeads) -> RankedHeads:
    n = sum(score > 0 for score in ranking.scores)
    if n == 0:
        raise InputError(f"{name}: no head scores at any step of its right samples; take another score")
    return ranking.first(n)


def _pair(names: tuple[str, str], tasks: tuple[_Sums, _Sums], k: int, n_deals: int, rng: np.random.Generator) -> SharedPair:
    n_first = len(tasks[0].steps)
    size = min(n_first, len(tasks[1].steps)) // 2
    pooled = _Sums(np.concatenate([each.scores for each in tasks]), np.concatenate([each.steps for each in tasks]))
    within, between = _agreement(*tasks, size, k, rng)
    dealt = np.empty(n_deals)
    for deal in range(n_deals):
        order = rng.permutation(len(pooled.steps))
        dealt[deal] = np.subtract(*_agreement(pooled.chosen(order[:n_first]), pooled.chosen(order[n_first:]), size, k, rng))
    low, high = np.nanquantile(dealt, [0.025, 0.975])
    p = (1 + np.sum(dealt >= within - between)) / (n_deals + 1)
    return SharedPair(*names, between, within, within - between, float(low), float(high), float(p))


def _agreement(first: _Sums, second: _Sums, size: int, k: int, rng: np.random.Generator) -> tuple[float, float]:
    """Mean Jaccard within each of two tasks, and between them."""
    one, other = first.halves(size, k, rng), second.halves(size, k, rng)
    within = (_jaccard(*one) + _jaccard(*other)) / 2
    return within, (_jaccard(one[0], other[1]) + _jaccard(one[1], other[0])) / 2


def _jaccard(one: Bool[np.ndarray, "split head"], other: Bool[np.ndarray, "split head"]) -> float:
    """The mean over splits in which either list has a head."""
    union = (one | other).sum(axis=1)
    shared = (one & other).sum(axis=1)
    return float(np.mean(shared[union > 0] / union[union > 0])) if union.any() else float("nan")
