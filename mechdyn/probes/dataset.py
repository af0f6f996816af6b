"""What a probe learns from: hidden states beside the retrieval scores of the same or of a later step (A.5)."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, Int

from mechdyn.errors import InputError
from mechdyn.stats.labels import Clusters, shuffled_clusters
from mechdyn.tensors import Tensor, torch
from mechdyn.traces.clusters import trace_clusters
from mechdyn.traces.trace import Trace

SHARES = (0.7, 0.2, 0.1)
"""Training, validation, test (A.5)."""
_VALIDATION_OF_REST = 0.25
_LEAST_IN_FOLD = 3
_SHARED = "those that share a needle or a haystack count as one"


@dataclass(frozen=True, eq=False)
class ProbeRows:
    """Pairs of steps of several samples; a head's column is l · n_heads + h.

    `previous` is what persistence repeats: the scores at the hidden state's own step, and at offset 0, where those are the target, the
    scores of the step before. Step 0 has none: NaN. `sample` counts the samples of these rows from 0, `step` is n, `token` the id that the
    step generated. `clusters` has a label for each sample: those of one label share a needle or a haystack, and intervals draw them
    together; by default each is by itself.
    """

    hidden: Float[Tensor, "row d_model"]
    target: Float[Tensor, "row head"]
    previous: Float[Tensor, "row head"]
    sample: Int[Tensor, " row"]
    step: Int[Tensor, " row"]
    token: Int[Tensor, " row"]
    n_samples: int
    clusters: Clusters | None = None

    def __len__(self) -> int:
        return len(self.hidden)


@dataclass(frozen=True, eq=False)
class ProbeData:
    """The rows of a probe, split by sample. `binary` targets are 1 where a head retrieves, others the scores as they are.

    `n_short` samples have no step `offset` after their first and are in no part.
    """

    train: ProbeRows
    validation: ProbeRows
    test: ProbeRows
    offset: int
    binary: bool
    n_layers: int
    n_heads: int
    model: Mapping[str, Any]
    """Identity of the traced model; empty where the traces do not say."""
    n_short: int

    @property
    def d_model(self) -> int:
        return self.train.hidden.shape[1]


def probe_data(traces: Iterable[Trace], offset: int = 0, *, binary: bool = True, seed: int = 0) -> ProbeData:
    """Pair the hidden state of every step n with the scores at n + `offset` of the same generation.

    Samples are split 70/20/10; the paper splits "the dataset" and does not say by what, by step would leak, since the steps of a sample
    depend on one another. All traces of one sample, and samples that share a needle or a haystack, fall into one part, and into the same
    part at every offset. Hidden states are taken as they are: A.5 mentions no standardisation.

    Args:
        traces: of one model; `TraceStore.traces()` gives them one by one.
        offset: k, 0 for the same step as in the paper.
        binary: predict whether a head retrieves (a score above the trace's threshold), else the score itself.
        seed: of the split.

    Raises:
        InputError: traces of several models, hidden states or scores that are not finite, an offset beyond every sample's length, fewer
            samples than the split needs, or training targets that are the same at every step.
    """
    gathered = _gather(traces, offset)
    parts = split_samples(gathered.clusters, seed)
    kept = [[sample for sample in part if sample in gathered.long] for part in parts]
    if not all(kept):
        counts = ", ".join(f"{len(part)} {name}" for part, name in zip(kept, ("training", "validation", "test"), strict=True))
        raise InputError(
            f"a split 70/20/10 by sample needs at least one sample in every part, {len(gathered.long)} samples of more than {offset} steps "
            f"give {counts} ({_SHARED}); trace more samples"
        )
    return gathered.data(kept[0], kept[1], kept[2], binary)


def fold_data(traces: Iterable[Trace], offset: int = 0, *, n_folds: int = 5, binary: bool = True, seed: int = 0) -> tuple[ProbeData, ...]:
    """The same pairs, once for each fold: its samples are tested, a quarter of the others validates and the rest trains.

    Every sample is tested once, by a predictor that was fitted on others, none of which share its needle or haystack (cross-fitting). At
    every offset a sample is in the same fold.

    Args:
        traces: as `probe_data` takes them.
        offset: k.
        n_folds: folds of about as many samples (or clusters) each; 2 or more.
        binary: as in `probe_data`.
        seed: of the split.

    Raises:
        InputError: as `probe_data` has it, or fewer samples than three in every fold.
    """
    if n_folds < 2:
        raise InputError(f"cross-fitting needs at least 2 folds, got {n_folds}; 5 is usual")
    gathered = _gather(traces, offset)
    shuffled = _shuffled(gathered.clusters, seed)
    folds = [[sample for group in shuffled[fold::n_folds] for sample in group if sample in gathered.long] for fold in range(n_folds)]
    if min(map(len, folds)) < _LEAST_IN_FOLD:
        raise InputError(
            f"cross-fitting needs at least {_LEAST_IN_FOLD} samples of more than {offset} steps in each of {n_folds} folds, got "
            f"{', '.join(str(len(fold)) for fold in folds)} ({_SHARED}); trace more samples"
        )
    found = []
    for index, test in enumerate(folds):
        others = [sample for other, fold in enumerate(folds) if other != index for sample in fold]
        n_validation = max(1, round(_VALIDATION_OF_REST * len(others)))
        found.append(gathered.data(others[n_validation:], others[:n_validation], test, binary))
    return tuple(found)


@dataclass(frozen=True)
class _Gathered:
    """The traces of each sample, checked; `long` has those with a step `offset` after their first, `clusters` each sample's label."""

    samples: tuple[str, ...]
    long: Mapping[str, Sequence[Trace]]
    offset: int
    n_layers: int
    n_heads: int
    model: Mapping[str, Any]
    clusters: Mapping[str, int]

    def data(self, train: Sequence[str], validation: Sequence[str], test: Sequence[str], binary: bool) -> ProbeData:
        """The rows of a split of the long samples."""
        parts = [_rows([self.long[sample] for sample in part], self.offset, binary, self.clusters) for part in (train, validation, test)]
        target = parts[0].target
        if bool((target == target[0]).all()):
            raise InputError(
                f"scores are constant at all {len(target)} training steps for every head, so there is nothing to predict; "
                "trace samples whose answers retrieve"
            )
        n_short = len(self.samples) - len(self.long)
        return ProbeData(parts[0], parts[1], parts[2], self.offset, binary, self.n_layers, self.n_heads, self.model, n_short)


def _gather(traces: Iterable[Trace], offset: int) -> _Gathered:
    if offset < 0:
        raise InputError(f"a probe's offset is 0 or more steps ahead, got {offset}")
    groups: dict[str, list[Trace]] = {}
    for trace in traces:
        groups.setdefault(trace.sample, []).append(trace)
    model, (n_layers, n_heads) = _one_model([trace for group in groups.values() for trace in group])
    long = {sample: kept for sample, group in groups.items() if (kept := [trace for trace in group if trace.n_steps > offset])}
    if not long:
        longest = max(trace.n_steps for group in groups.values() for trace in group)
        raise InputError(f"offset {offset} is beyond every sample's length, the longest has {longest} steps; take an offset below that")
    clusters = dict(zip(groups, trace_clusters([group[0] for group in groups.values()]).tolist(), strict=True))
    return _Gathered(tuple(groups), long, offset, n_layers, n_heads, model, clusters)


def split_samples(clusters: Mapping[str, Hashable], seed: int = 0) -> tuple[list[str], list[str], list[str]]:
    """Training, validation and test samples, 70/20/10, those of one label in one part; the order in which they come does not matter."""
    shuffled = _shuffled(clusters, seed)
    n_validation, n_test = (round(share * len(shuffled)) for share in SHARES[1:])
    parts = shuffled[n_validation + n_test :], shuffled[n_test : n_validation + n_test], shuffled[:n_test]
    train, validation, test = ([sample for group in part for sample in group] for part in parts)
    return train, validation, test


def _shuffled(clusters: Mapping[str, Hashable], seed: int) -> list[list[str]]:
    """The samples of each label, labels in random order."""
    ordered = sorted(clusters)
    groups = shuffled_clusters([clusters[sample] for sample in ordered], len(ordered), seed)
    return [[ordered[place] for place in group] for group in groups]


def _one_model(traces: Sequence[Trace]) -> tuple[Mapping[str, Any], tuple[int, int]]:
    """The model of all traces and its layers and heads."""
    if not traces:
        raise InputError("a probe needs traces, got none; trace some samples first")
    first = traces[0]
    model, shape = _model(first), (first.hidden.shape[1], *first.retrieval_scores.shape[1:])
    for trace in traces:
        if (_model(trace), (trace.hidden.shape[1], *trace.retrieval_scores.shape[1:])) != (model, shape):
            raise InputError(
                f"a probe learns from the traces of one model, trace {trace.unit} is of another than trace {first.unit}; leave it out"
            )
        if not (trace.hidden.isfinite().all() and trace.retrieval_scores.isfinite().all()):
            raise InputError(
                f"trace {trace.unit} holds NaN or infinite values; leave failed traces out, store hidden states in float32 if they overflow"
            )
    return model, (shape[1], shape[2])


def _model(trace: Trace) -> Mapping[str, Any]:
    model = trace.meta.get("model", {})
    return dict(model) if isinstance(model, Mapping) else {"name": model}


def _rows(samples: Sequence[Sequence[Trace]], offset: int, binary: bool, clusters: Mapping[str, int]) -> ProbeRows:
    """The pairs of some samples, in order."""
    hidden, target, previous, owner, step, token = [], [], [], [], [], []
    for index, group in enumerate(samples):
        for trace in group:
            scores = (trace.active if binary else trace.retrieval_scores).to(torch.float32).flatten(1)
            n_rows = trace.n_steps - offset
            hidden.append(trace.hidden[:n_rows])
            target.append(scores[offset:])
            previous.append(scores[:n_rows] if offset else torch.cat([torch.full_like(scores[:1], torch.nan), scores[:-1]]))
            owner.append(torch.full((n_rows,), index))
            step.append(torch.arange(n_rows))
            token.append(trace.tokens[:n_rows])
    return ProbeRows(
        hidden=torch.cat(hidden),
        target=torch.cat(target),
        previous=torch.cat(previous),
        sample=torch.cat(owner),
        step=torch.cat(step),
        token=torch.cat(token),
        n_samples=len(samples),
        clusters=tuple(clusters[group[0].sample] for group in samples),
    )
