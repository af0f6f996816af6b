"""What a probe learns from: hidden states beside the retrieval scores of the same or of a later step (A.5)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechdyn.errors import InputError
from mechdyn.traces.trace import Trace

SHARES = (0.7, 0.2, 0.1)
"""Training, validation, test (A.5)."""


@dataclass(frozen=True, eq=False)
class ProbeRows:
    """Pairs of steps of several samples; a head's column is l · n_heads + h.

    `previous` is what persistence repeats: the scores at the hidden state's own step, and at offset 0, where those are the target, the
    scores of the step before. Step 0 has none: NaN. `sample` counts the samples of these rows from 0, `step` is n.
    """

    hidden: Float[Tensor, "row d_model"]
    target: Float[Tensor, "row head"]
    previous: Float[Tensor, "row head"]
    sample: Int[Tensor, " row"]
    step: Int[Tensor, " row"]
    n_samples: int

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
    depend on one another. All traces of one sample fall into one part, and into the same part at every offset. Hidden states are taken
    as they are: A.5 mentions no standardisation.

    Args:
        traces: of one model; `TraceStore.traces()` gives them one by one.
        offset: k, 0 for the same step as in the paper.
        binary: predict whether a head retrieves (a score above the trace's threshold), else the score itself.
        seed: of the split.

    Raises:
        InputError: traces of several models, hidden states or scores that are not finite, an offset beyond every sample's length, fewer
            samples than the split needs, or training targets that are the same at every step.
    """
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
    parts = [[sample for sample in part if sample in long] for part in split_samples(groups, seed)]
    if not all(parts):
        counts = ", ".join(f"{len(part)} {name}" for part, name in zip(parts, ("training", "validation", "test"), strict=True))
        raise InputError(
            f"a split 70/20/10 by sample needs at least one sample in every part, {len(long)} samples of more than {offset} steps give "
            f"{counts}; trace more samples"
        )
    train, validation, test = (_rows([long[sample] for sample in part], offset, binary) for part in parts)
    if bool((train.target == train.target[0]).all()):
        raise InputError(
            f"scores are constant at all {len(train)} training steps for every head, so there is nothing to predict; "
            "trace samples whose answers retrieve"
        )
    return ProbeData(train, validation, test, offset, binary, n_layers, n_heads, model, len(groups) - len(long))


def split_samples(samples: Iterable[str], seed: int = 0) -> tuple[list[str], list[str], list[str]]:
    """Training, validation and test samples, 70/20/10; the order in which they come does not matter."""
    ordered = sorted(samples)
    shuffled = [ordered[index] for index in np.random.default_rng(seed).permutation(len(ordered))]
    n_validation, n_test = (round(share * len(ordered)) for share in SHARES[1:])
    return shuffled[n_validation + n_test :], shuffled[n_test : n_validation + n_test], shuffled[:n_test]


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


def _rows(samples: Sequence[Sequence[Trace]], offset: int, binary: bool) -> ProbeRows:
    """The pairs of some samples, in order."""
    hidden, target, previous, owner, step = [], [], [], [], []
    for index, group in enumerate(samples):
        for trace in group:
            scores = (trace.active if binary else trace.retrieval_scores).to(torch.float32).flatten(1)
            n_rows = trace.n_steps - offset
            hidden.append(trace.hidden[:n_rows])
            target.append(scores[offset:])
            previous.append(scores[:n_rows] if offset else torch.cat([torch.full_like(scores[:1], torch.nan), scores[:-1]]))
            owner.append(torch.full((n_rows,), index))
            step.append(torch.arange(n_rows))
    return ProbeRows(torch.cat(hidden), torch.cat(target), torch.cat(previous), torch.cat(owner), torch.cat(step), len(samples))
