"""How much the retrieving heads of one step share with those of another: Table 1 (3.2, A.3) of the paper, with intervals by sample.

Every function takes samples: boolean arrays (where a head retrieves, `step layer head`) or traces, which have them as `active`. Means are
pooled over the steps of all samples and resampled by sample, or by cluster where `clusters` has a label for each sample (or pair): samples
that share a needle or a haystack depend on each other. The Jaccard of two empty sets is undefined: the step is left out and counted.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from mechdyn.errors import InputError
from mechdyn.heads import Head, HeadSet, RankedHeads, rank_heads
from mechdyn.stats.entropy import chao_shen_entropy, plain_entropy
from mechdyn.stats.head_sets import Activity, Sets, Traced, aligned_steps, as_active, head_sets
from mechdyn.stats.interval import Interval
from mechdyn.stats.labels import Clusters, cluster_index
from mechdyn.stats.means import bootstrap_mean
from mechdyn.stats.resampling import UNIT, bootstrap
from mechdyn.tensors import torch


@dataclass(frozen=True)
class Jaccard:
    """Mean |A ∩ B| / |A ∪ B| over pairs of head sets, in [0, 1].

    `retrieving` is over the pairs whose steps all retrieve, as Table 1 has it; `all_steps` over every pair for which it is defined.
    `n_retrieving` and `n_defined` count those pairs, `n_undefined` the pairs of two empty sets.
    """

    retrieving: Interval
    all_steps: Interval
    n_retrieving: int
    n_defined: int
    n_undefined: int


@dataclass(frozen=True)
class HeadEntropy:
    """Spread of retrieval over heads (A.3).

    With p_h the share of all steps at which head h retrieves and q_h = p_h / Σ p_h:
    `entropy` is −Σ q ln q in nats, from 0 to ln(number of heads); `effective_heads` is exp(entropy); `raw` is −Σ p ln p, Eq. 3 as printed.
    The paper's values and its baseline ln 20 need the normalised form. `chao_shen` is the entropy with heads that happened not to be seen
    estimated in (`chao_shen_entropy`).
    """

    entropy: Interval
    effective_heads: Interval
    raw: Interval
    chao_shen: Interval


@dataclass(frozen=True)
class HeadsPerStep:
    """How many heads retrieve: mean and standard deviation (n − 1) over retrieving steps; `all_steps` is the mean over every step."""

    mean: Interval
    sd: float
    all_steps: Interval


@dataclass(frozen=True)
class ActivatedHeads:
    """Heads that retrieve at one step or more, out of `total`. No interval: resamples hold fewer samples, so they would all lie lower."""

    activated: int
    total: int


@dataclass(frozen=True)
class DynamismTable:
    """Table 1 of one model; `static` by the name of each list. `retest` is None where no pairs were given."""

    static: Mapping[str, Jaccard]
    adjacent: Jaccard
    retest: Jaccard | None
    entropy: HeadEntropy
    per_step: HeadsPerStep
    activated: ActivatedHeads
    n_samples: int
    n_retrieving_samples: int
    n_steps: int
    n_retrieving_steps: int


def dynamism_table(
    samples: Sequence[Activity],
    statics: Mapping[str, HeadSet],
    retest_pairs: Sequence[tuple[Activity, Activity]] = (),
    *,
    clusters: Clusters | None = None,
    pair_clusters: Clusters | None = None,
    seed: int = 0,
    n_resamples: int = 2000,
) -> DynamismTable:
    """The whole of Table 1 with the retest beside it (docs/definitions.md, "Overlap").

    `clusters` has a label for each sample, `pair_clusters` one for each retest pair.

    Raises:
        InputError: no sample, samples of different models, a static list of another model, or not one label a sample or pair.
    """
    samples = [as_active(sample) for sample in samples]
    retrieving = [np.any(sets, axis=1) for sets in head_sets(samples)]
    drawn = {"seed": seed, "n_resamples": n_resamples}
    return DynamismTable(
        static={name: static_jaccard(samples, heads, clusters, **drawn) for name, heads in statics.items()},
        adjacent=adjacent_jaccard(samples, clusters, **drawn),
        retest=retest_jaccard(retest_pairs, pair_clusters, **drawn) if retest_pairs else None,
        entropy=head_entropy(samples, clusters, **drawn),
        per_step=heads_per_step(samples, clusters, **drawn),
        activated=activated_heads(samples),
        n_samples=len(samples),
        n_retrieving_samples=sum(bool(steps.any()) for steps in retrieving),
        n_steps=sum(len(steps) for steps in retrieving),
        n_retrieving_steps=sum(int(steps.sum()) for steps in retrieving),
    )


def adjacent_jaccard(samples: Sequence[Activity], clusters: Clusters | None = None, *, seed: int = 0, n_resamples: int = 2000) -> Jaccard:
    """Overlap of steps t and t + 1 of one sample (Table 1, Adj. Jaccard); low means rapid switching.

    `retrieving` takes the pairs in which both steps retrieve: a step without heads between two retrieving ones parts them.
    """
    sets = head_sets(samples)
    before, after = _Rows.of([each[:-1] for each in sets]), _Rows.of([each[1:] for each in sets])
    return _pooled_jaccard(before, after.sets, before.retrieving & after.retrieving, clusters, seed=seed, n_resamples=n_resamples)


def static_jaccard(
    samples: Sequence[Activity], static: HeadSet, clusters: Clusters | None = None, *, seed: int = 0, n_resamples: int = 2000
) -> Jaccard:
    """Overlap of a step's heads with a static list (Table 1, Jaccard w/ Static).

    `retrieving` takes the retrieving steps; over all steps, one that does not retrieve shares nothing with the list and counts 0.

    Raises:
        InputError: the list is of a model of another shape.
    """
    rows = _Rows.of(head_sets(samples))
    static = static.fit(*as_active(samples[0]).shape[1:])
    return _pooled_jaccard(rows, static.mask().numpy().reshape(1, -1), rows.retrieving, clusters, seed=seed, n_resamples=n_resamples)


def retest_jaccard(
    pairs: Sequence[tuple[Activity, Activity]], clusters: Clusters | None = None, *, seed: int = 0, n_resamples: int = 2000
) -> Jaccard:
    """Overlap of the same step of two samples with the same needle and question in different haystacks: the retest.

    Were heads noisy rather than dynamic, it would equal the adjacent one (docs/definitions.md, "Overlap"). Pass pairs of which both answers
    are correct. Steps align as long as the generated tokens agree: of two traces the steps before the first different token are compared;
    arrays must be equally long. Resampled by pair, or by cluster of them.

    Raises:
        InputError: no pair, or arrays of different lengths.
    """
    aligned = [aligned_steps(*pair) for pair in pairs]
    sets = head_sets([first for first, _ in aligned] + [second for _, second in aligned])
    first, second = _Rows.of(sets[: len(pairs)]), _Rows.of(sets[len(pairs) :])
    return _pooled_jaccard(first, second.sets, first.retrieving & second.retrieving, clusters, seed=seed, n_resamples=n_resamples)


def head_entropy(samples: Sequence[Activity], clusters: Clusters | None = None, *, seed: int = 0, n_resamples: int = 2000) -> HeadEntropy:
    """How evenly retrieval spreads over heads (A.3, Eq. 3; see `HeadEntropy`). NaN where no head ever retrieves.

    The plain entropy of few samples leans low, as few of the rare heads have been seen. Samples that never retrieve have no say in q (nor
    in its n), but lower every p.
    """
    sets = head_sets(samples)
    hits = np.stack([sample.sum(axis=0) for sample in sets]).astype(np.float64)
    n_steps = np.array([len(sample) for sample in sets], dtype=np.float64)
    index = cluster_index(clusters, len(sets))
    some, stepped = hits.any(axis=1), n_steps > 0
    entropy = _bootstrap_entropy(hits[some], hits[some].sum(axis=1), index[some], seed, n_resamples)
    raw = _bootstrap_entropy(hits[stepped], n_steps[stepped], index[stepped], seed, n_resamples)
    effective = Interval(math.exp(entropy.estimate), math.exp(entropy.low), math.exp(entropy.high), entropy.n, entropy.method)
    return HeadEntropy(entropy, effective, raw, _bootstrap_chao_shen(hits[some], index[some], seed, n_resamples))


def heads_per_step(
    samples: Sequence[Activity], clusters: Clusters | None = None, *, seed: int = 0, n_resamples: int = 2000
) -> HeadsPerStep:
    """How many heads retrieve at a step (3.2; the paper's 12.97 ± 7.69 for llama3.1-8b). NaN where no step retrieves."""
    sizes = [sets.sum(axis=1) for sets in head_sets(samples)]
    sums = np.array([steps.sum() for steps in sizes])
    retrieving = np.array([np.count_nonzero(steps) for steps in sizes])
    pooled = np.concatenate(sizes)
    pooled = pooled[pooled > 0]
    return HeadsPerStep(
        mean=bootstrap_mean(sums, retrieving, clusters, seed=seed, n_resamples=n_resamples),
        sd=float(pooled.std(ddof=1)) if len(pooled) > 1 else float("nan"),
        all_steps=bootstrap_mean(sums, np.array([len(steps) for steps in sizes]), clusters, seed=seed, n_resamples=n_resamples),
    )


def activated_heads(samples: Sequence[Activity]) -> ActivatedHeads:
    """How many of the model's heads retrieve at least once (the paper's 238 / 1024 for llama3.1-8b)."""
    ever = np.stack([sets.any(axis=0) for sets in head_sets(samples)]).any(axis=0)
    return ActivatedHeads(int(ever.sum()), ever.size)


def static_ranking(traces: Sequence[Traced]) -> RankedHeads:
    """Heads by mean retrieval score over all steps of the given traces; ties by (layer, head).

    Pass the correct samples of a detection set that shares no sample with the evaluation set (docs/definitions.md, "Static heads").

    Raises:
        InputError: no trace, no step in any of them, or traces of different models.
    """
    if sum(len(trace.tokens) for trace in traces) == 0:
        raise InputError(f"a static ranking needs correct traces with at least one step, got {len(traces)} traces without any")
    shapes = {tuple(trace.retrieval_scores.shape[1:]) for trace in traces}
    if len(shapes) > 1:
        raise InputError(f"traces must come from one model, got layers x heads of {sorted(shapes)}")
    n_layers, n_heads = shapes.pop()
    mean = torch.stack([trace.retrieval_scores.double().sum(dim=0) for trace in traces]).sum(dim=0) / sum(len(t.tokens) for t in traces)
    scored = [(Head(layer, head), score) for layer, row in enumerate(mean.tolist()) for head, score in enumerate(row)]
    return rank_heads(scored, n_layers, n_heads, "mean retrieval score over the steps of the traces")


def _bootstrap_entropy(
    hits: Float[np.ndarray, "sample head"],
    whole: Float[np.ndarray, " sample"],
    clusters: Int[np.ndarray, " sample"],
    seed: int,
    n_resamples: int,
) -> Interval:
    """−Σ p ln p with p_h = Σ hits_h / Σ whole, both summed over samples."""
    hits = hits[:, hits.any(axis=0)]
    return bootstrap(
        lambda weights: plain_entropy(weights @ hits, weights @ whole),
        len(hits),
        clusters=clusters.tolist(),
        seed=seed,
        n_resamples=n_resamples,
    )


def _bootstrap_chao_shen(
    hits: Float[np.ndarray, "sample head"], clusters: Int[np.ndarray, " sample"], seed: int, n_resamples: int
) -> Interval:
    hits = hits[:, hits.any(axis=0)]
    return bootstrap(
        lambda weights: chao_shen_entropy(weights @ hits), len(hits), clusters=clusters.tolist(), seed=seed, n_resamples=n_resamples
    )


@dataclass(frozen=True)
class _Rows:
    """The steps of all samples, one below the other; `owner` says whose each is, of `n_samples`."""

    sets: Sets
    owner: Int[np.ndarray, " row"]
    n_samples: int

    @classmethod
    def of(cls, sets: Sequence[Sets]) -> "_Rows":
        return cls(np.concatenate(sets), np.repeat(np.arange(len(sets)), [len(each) for each in sets]), len(sets))

    @cached_property
    def retrieving(self) -> Bool[np.ndarray, " row"]:
        return np.asarray(self.sets.any(axis=1))


def _pooled_jaccard(rows: _Rows, others: Sets, retrieving: Bool[np.ndarray, " row"], clusters: Clusters | None, **drawn: int) -> Jaccard:
    """Each row against the same row of `others`, or against the only one there is."""
    shared, union = (rows.sets & others).sum(axis=1), (rows.sets | others).sum(axis=1)
    values, defined = shared / np.maximum(union, 1), union > 0

    def mean_over(mask: Bool[np.ndarray, " row"]) -> Interval:
        sums = np.bincount(rows.owner[mask], values[mask], minlength=rows.n_samples)
        counts = np.bincount(rows.owner[mask], minlength=rows.n_samples)
        return bootstrap_mean(sums, counts, clusters, limits=UNIT, **drawn)

    return Jaccard(
        retrieving=mean_over(retrieving & defined),
        all_steps=mean_over(defined),
        n_retrieving=int((retrieving & defined).sum()),
        n_defined=int(defined.sum()),
        n_undefined=int((~defined).sum()),
    )
