"""How much the retrieving heads of one step share with those of another: Table 1 (3.2, A.3) of the paper, with intervals by sample.

Every function takes samples: boolean arrays (where a head retrieves, `step layer head`) or traces, which have them as `active`. Means are
pooled over the steps of all samples and resampled by sample. The Jaccard of two empty sets is undefined: the step is left out and counted.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import special
from torch import Tensor

from mechdyn.errors import InputError
from mechdyn.heads import Head, HeadSet, RankedHeads, rank_heads
from mechdyn.stats.interval import Interval
from mechdyn.stats.means import bootstrap_mean
from mechdyn.stats.resampling import UNIT, Weights, bootstrap


@runtime_checkable
class Traced(Protocol):
    """What is read of a trace here; `mechdyn.traces.trace.Trace` has it."""

    @property
    def tokens(self) -> Int[Tensor, " step"]: ...

    @property
    def retrieval_scores(self) -> Float[Tensor, "step layer head"]: ...

    @property
    def active(self) -> Bool[Tensor, "step layer head"]: ...


Activity: TypeAlias = Bool[Tensor, "_step _layer _head"] | Traced
Sets: TypeAlias = Bool[np.ndarray, "_step _all_heads"]


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
    The paper's values and its baseline ln 20 need the normalised form.
    """

    entropy: Interval
    effective_heads: Interval
    raw: Interval


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
    seed: int = 0,
    n_resamples: int = 2000,
) -> DynamismTable:
    """The whole of Table 1 with the retest beside it (docs/definitions.md, "Overlap").

    Raises:
        InputError: no sample, samples of different models, or a static list of another model.
    """
    samples = [_active(sample) for sample in samples]
    retrieving = [np.any(sets, axis=1) for sets in head_sets(samples)]
    drawn = {"seed": seed, "n_resamples": n_resamples}
    return DynamismTable(
        static={name: static_jaccard(samples, heads, **drawn) for name, heads in statics.items()},
        adjacent=adjacent_jaccard(samples, **drawn),
        retest=retest_jaccard(retest_pairs, **drawn) if retest_pairs else None,
        entropy=head_entropy(samples, **drawn),
        per_step=heads_per_step(samples, **drawn),
        activated=activated_heads(samples),
        n_samples=len(samples),
        n_retrieving_samples=sum(bool(steps.any()) for steps in retrieving),
        n_steps=sum(len(steps) for steps in retrieving),
        n_retrieving_steps=sum(int(steps.sum()) for steps in retrieving),
    )


def adjacent_jaccard(samples: Sequence[Activity], *, seed: int = 0, n_resamples: int = 2000) -> Jaccard:
    """Overlap of steps t and t + 1 of one sample (Table 1, Adj. Jaccard); low means rapid switching.

    `retrieving` takes the pairs in which both steps retrieve: a step without heads between two retrieving ones parts them.
    """
    sets = head_sets(samples)
    before, after = _Rows.of([each[:-1] for each in sets]), _Rows.of([each[1:] for each in sets])
    return _pooled_jaccard(before, after.sets, before.retrieving & after.retrieving, seed, n_resamples)


def static_jaccard(samples: Sequence[Activity], static: HeadSet, *, seed: int = 0, n_resamples: int = 2000) -> Jaccard:
    """Overlap of a step's heads with a static list (Table 1, Jaccard w/ Static).

    `retrieving` takes the retrieving steps; over all steps, one that does not retrieve shares nothing with the list and counts 0.

    Raises:
        InputError: the list is of a model of another shape.
    """
    rows = _Rows.of(head_sets(samples))
    static = static.fit(*_active(samples[0]).shape[1:])
    return _pooled_jaccard(rows, static.mask().numpy().reshape(1, -1), rows.retrieving, seed, n_resamples)


def retest_jaccard(pairs: Sequence[tuple[Activity, Activity]], *, seed: int = 0, n_resamples: int = 2000) -> Jaccard:
    """Overlap of the same step of two samples with the same needle and question in different haystacks: the retest.

    Were heads noisy rather than dynamic, it would equal the adjacent one (docs/definitions.md, "Overlap"). Pass pairs of which both answers
    are correct. Steps align as long as the generated tokens agree: of two traces the steps before the first different token are compared;
    arrays must be equally long. Resampled by pair.

    Raises:
        InputError: no pair, or arrays of different lengths.
    """
    aligned = [aligned_steps(*pair) for pair in pairs]
    sets = head_sets([first for first, _ in aligned] + [second for _, second in aligned])
    first, second = _Rows.of(sets[: len(pairs)]), _Rows.of(sets[len(pairs) :])
    return _pooled_jaccard(first, second.sets, first.retrieving & second.retrieving, seed, n_resamples)


def head_entropy(samples: Sequence[Activity], *, seed: int = 0, n_resamples: int = 2000) -> HeadEntropy:
    """How evenly retrieval spreads over heads (A.3, Eq. 3; see `HeadEntropy`). NaN where no head ever retrieves.

    The bootstrap of an entropy leans low: a resample holds fewer distinct samples, so the estimate can lie near the upper bound. Samples
    that never retrieve have no say in q (nor in its n), but lower every p.
    """
    sets = head_sets(samples)
    hits = np.stack([sample.sum(axis=0) for sample in sets]).astype(np.float64)
    n_steps = np.array([len(sample) for sample in sets], dtype=np.float64)
    some = hits.any(axis=1)
    entropy = _bootstrap_entropy(hits[some], hits[some].sum(axis=1), seed, n_resamples)
    raw = _bootstrap_entropy(hits[n_steps > 0], n_steps[n_steps > 0], seed, n_resamples)
    effective = Interval(math.exp(entropy.estimate), math.exp(entropy.low), math.exp(entropy.high), entropy.n, entropy.method)
    return HeadEntropy(entropy, effective, raw)


def heads_per_step(samples: Sequence[Activity], *, seed: int = 0, n_resamples: int = 2000) -> HeadsPerStep:
    """How many heads retrieve at a step (3.2; the paper's 12.97 ± 7.69 for llama3.1-8b). NaN where no step retrieves."""
    sizes = [sets.sum(axis=1) for sets in head_sets(samples)]
    sums = np.array([steps.sum() for steps in sizes])
    retrieving = np.array([np.count_nonzero(steps) for steps in sizes])
    pooled = np.concatenate(sizes)
    pooled = pooled[pooled > 0]
    return HeadsPerStep(
        mean=bootstrap_mean(sums, retrieving, seed=seed, n_resamples=n_resamples),
        sd=float(pooled.std(ddof=1)) if len(pooled) > 1 else float("nan"),
        all_steps=bootstrap_mean(sums, np.array([len(steps) for steps in sizes]), seed=seed, n_resamples=n_resamples),
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


def head_sets(samples: Sequence[Activity]) -> list[Sets]:
    """Each sample's head sets, one row a step.

    Raises:
        InputError: no sample, or samples of different models.
    """
    actives = [_active(sample) for sample in samples]
    if not actives:
        raise InputError("head sets need at least one sample, got none")
    shapes = {tuple(active.shape[1:]) for active in actives}
    if len(shapes) > 1:
        raise InputError(f"samples must come from one model, got layers x heads of {sorted(shapes)}")
    return [active.flatten(1).numpy() for active in actives]


def aligned_steps(first: Activity, second: Activity) -> tuple[Bool[Tensor, "step _layer _head"], Bool[Tensor, "step _layer _head"]]:
    """The steps that two samples share: those before the first token in which traces differ; arrays must be equally long."""
    one, other = _active(first), _active(second)
    if isinstance(first, Tensor) or isinstance(second, Tensor):
        if len(one) != len(other):
            raise InputError(f"retest arrays must have the same steps, got {len(one)} and {len(other)}; cut them where the tokens part")
        return one, other
    if torch.equal(first.tokens, second.tokens):
        return one, other
    shared = min(len(one), len(other))
    agree = (first.tokens[:shared] == second.tokens[:shared]).long().cumprod(dim=0)
    n_aligned = int(agree.sum())
    return one[:n_aligned], other[:n_aligned]


def _bootstrap_entropy(
    hits: Float[np.ndarray, "sample head"], whole: Float[np.ndarray, " sample"], seed: int, n_resamples: int
) -> Interval:
    """−Σ p ln p with p_h = Σ hits_h / Σ whole, both summed over samples."""
    hits = hits[:, hits.any(axis=0)]

    def entropies(weights: Weights) -> Float[np.ndarray, " resample"]:
        drawn = weights @ hits
        values = special.entr(drawn / (weights @ whole)[:, None]).sum(axis=1)
        return np.where(drawn.any(axis=1), values, np.nan)

    return bootstrap(entropies, len(hits), seed=seed, n_resamples=n_resamples)


def _active(sample: Activity) -> Bool[Tensor, "_step _layer _head"]:
    return sample if isinstance(sample, Tensor) else sample.active


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
        return self.sets.any(axis=1)


def _pooled_jaccard(rows: _Rows, others: Sets, retrieving: Bool[np.ndarray, " row"], seed: int, n_resamples: int) -> Jaccard:
    """Each row against the same row of `others`, or against the only one there is."""
    shared, union = (rows.sets & others).sum(axis=1), (rows.sets | others).sum(axis=1)
    values, defined = shared / np.maximum(union, 1), union > 0

    def mean_over(mask: Bool[np.ndarray, " row"]) -> Interval:
        sums = np.bincount(rows.owner[mask], values[mask], minlength=rows.n_samples)
        counts = np.bincount(rows.owner[mask], minlength=rows.n_samples)
        return bootstrap_mean(sums, counts, limits=UNIT, seed=seed, n_resamples=n_resamples)

    return Jaccard(
        retrieving=mean_over(retrieving & defined),
        all_steps=mean_over(defined),
        n_retrieving=int((retrieving & defined).sum()),
        n_defined=int(defined.sum()),
        n_undefined=int((~defined).sum()),
    )
