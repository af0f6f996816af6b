"""Each head over all samples of a run: how often it retrieves under each condition, where, on what, with which others; its ranks."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from mechdyn.errors import InputError
from mechdyn.heads import Head, RankedHeads, rank_heads
from mechdyn.stats.clusters import clusters_by_shared
from mechdyn.stats.head_activity import (
    Activities,
    Activity,
    CoActive,
    Shares,
    head_shares,
    share_differences,
    shares_by_kind,
    shares_by_place,
    together,
)
from mechdyn.stats.interval import Interval
from mechdyn.studies.head_activity import (
    KINDS,
    N_PLACES,
    PairedAnswers,
    SwitchedOff,
    activity_of,
    all_switched_off,
    heads_off,
    places_are_known,
    tokens_in_needle,
)
from mechdyn.tasks.task import is_correct
from mechdyn.traces.clusters import shared_things
from mechdyn.traces.trace import Trace

N_TOGETHER = 16
"""Heads of which every two are held against each other."""
STEPS_RANKING, SCORE_RANKING = "share of steps at which it retrieves", "mean score"


@dataclass(frozen=True, eq=False)
class Generation:
    """What a trace says of heads, small enough that those of a whole run are held."""

    sample: str
    activity: Activity
    in_needle: Bool[np.ndarray, " step"]
    off: Bool[np.ndarray, " head"]
    others: Float[np.ndarray, " head"]
    right: bool
    things: frozenset[Hashable]
    score_sums: Float[np.ndarray, " head"] | None
    """Scores summed over the steps; None where all are 0 or 1, so that the share of steps is their mean."""


@dataclass(frozen=True, eq=False)
class HeadSummary:
    """Every head over many samples; arrays and tuples go by flat head, layer by layer.

    Attributes:
        shares: of the steps at which each head retrieves, by condition, the reference first.
        differences: what a condition's share is above the reference's, of the same samples, by condition.
        places: shares by stretch of the needle, of the reference; None where the score does not tell (`places_are_known`).
        kinds: shares by kind of token (`KINDS`), of the reference.
        pairs: heads that retrieve together, of the reference.
        switched_off: what went with switching each head off.
        rankings: the run's own, by what they go by.
        n_samples: samples of each condition.
    """

    shares: Mapping[str, Shares]
    differences: Mapping[str, tuple[Interval, ...]]
    places: tuple[Shares, ...] | None
    kinds: tuple[Shares, ...]
    pairs: tuple[CoActive, ...]
    switched_off: Mapping[int, Sequence[SwitchedOff]]
    rankings: Mapping[str, RankedHeads]
    n_samples: Mapping[str, int]


def generation_of(trace: Trace, right: bool | None = None) -> Generation:
    """What a summary needs of a trace; whether its answer is right is judged here where it is not given."""
    scores = trace.retrieval_scores
    binary = bool(((scores == 0) | (scores == 1)).all())
    return Generation(
        trace.sample,
        activity_of(trace),
        tokens_in_needle(trace),
        *heads_off(trace),
        is_correct(trace.task, trace.text, trace.answer) if right is None else right,
        frozenset({("sample", trace.sample), *shared_things(trace)}),
        None if binary else scores.double().sum(dim=0).flatten().numpy(),
    )


def summarise(found: Mapping[str, Sequence[Generation]], n_layers: int, n_heads: int, *, seed: int = 0) -> HeadSummary:
    """Summaries of the generations of a run by condition; the first condition is the reference, as a rule that without ablation.

    Traces of one sample, and of samples that share a needle or a haystack, count as one cluster.

    Raises:
        InputError: no condition, or one without a generation.
    """
    if not found or not all(found.values()):
        raise InputError("a summary of heads needs a condition or more, each with a generation; got none for some")
    reference, *others = found
    first = found[reference]
    beside = {generation.sample: generation for generation in first}
    paired = {name: [each for each in found[name] if each.sample in beside] for name in others}
    paired = {name: kept for name, kept in paired.items() if kept}
    activities = _activities(first, _clusters(first), n_heads)
    known = places_are_known(activities.each, [each.in_needle for each in first])
    return HeadSummary(
        shares={name: head_shares(_activities(rows, _clusters(rows), n_heads)) for name, rows in found.items()},
        differences={name: _difference(kept, beside, n_heads, seed) for name, kept in paired.items()},
        places=tuple(shares_by_place(activities, N_PLACES)) if known else None,
        kinds=tuple(shares_by_kind(activities, len(KINDS))),
        pairs=tuple(together(activities, N_TOGETHER, seed=seed)),
        switched_off=all_switched_off({name: _answers(kept, beside) for name, kept in paired.items()}, range(n_layers * n_heads)),
        rankings=_rankings(first, activities, n_layers, n_heads),
        n_samples={name: len({each.sample for each in rows}) for name, rows in found.items()},
    )


def summary_of(traces: Mapping[str, Sequence[Trace]], *, seed: int = 0) -> HeadSummary:
    """The summary of traces by the name of their condition, the reference first: `summary_of({"clean": store.load()})`.

    Traces without a generated token are left out.

    Raises:
        InputError: no condition, one without a generated token, or traces of models of different shapes.
    """
    found = {name: [trace for trace in rows if trace.n_steps] for name, rows in traces.items()}
    shapes = {tuple(trace.retrieval_scores.shape[1:]) for rows in found.values() for trace in rows}
    if len(shapes) > 1:
        raise InputError(f"a summary of heads is of one model, got models of {' and '.join(map(str, sorted(shapes)))} layers and heads")
    n_layers, n_heads = next(iter(shapes), (0, 0))
    return summarise({name: list(map(generation_of, rows)) for name, rows in found.items()}, n_layers, n_heads, seed=seed)


def _activities(found: Sequence[Generation], clusters: Int[np.ndarray, " sample"], n_heads: int) -> Activities:
    return Activities(tuple(each.activity for each in found), clusters, n_heads)


def _clusters(found: Sequence[Generation]) -> Int[np.ndarray, " sample"]:
    return clusters_by_shared([each.things for each in found])


def _difference(kept: Sequence[Generation], beside: Mapping[str, Generation], n_heads: int, seed: int) -> tuple[Interval, ...]:
    """Of each generation and the reference of its sample; where heads were drawn several times, the reference counts as often."""
    clusters = _clusters(kept)
    references = [beside[each.sample] for each in kept]
    return share_differences(_activities(references, clusters, n_heads), _activities(kept, clusters, n_heads), seed=seed)


def _answers(kept: Sequence[Generation], beside: Mapping[str, Generation]) -> PairedAnswers:
    return PairedAnswers(
        off=np.stack([each.off for each in kept]),
        others=np.stack([each.others for each in kept]),
        right=np.array([each.right for each in kept]),
        clean=np.array([beside[each.sample].right for each in kept]),
        clusters=_clusters(kept),
    )


def _rankings(found: Sequence[Generation], activities: Activities, n_layers: int, n_heads: int) -> dict[str, RankedHeads]:
    steps = activities.steps.sum()

    def ranked(sums: Float[np.ndarray, " head"], statistic: str) -> RankedHeads:
        scored = ((Head(*divmod(flat, n_heads)), float(value) / float(steps)) for flat, value in enumerate(sums))
        return rank_heads(scored, n_layers, n_heads, statistic)

    rankings = {STEPS_RANKING: ranked(activities.counts.sum(axis=0).astype(np.float64), STEPS_RANKING)}
    sums = [each.score_sums for each in found if each.score_sums is not None]
    if len(sums) == len(found):
        rankings[SCORE_RANKING] = ranked(np.sum(sums, axis=0), SCORE_RANKING)
    return rankings
