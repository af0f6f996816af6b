"""Numbers of ablated generations: how many heads went off, and which came up in their place (3.3, A.1, A.2 of the paper)."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from mechdyn.errors import InputError
from mechdyn.heads import HeadSet
from mechdyn.stats.interval import Interval
from mechdyn.stats.labels import Clusters
from mechdyn.stats.means import bootstrap_mean, share_interval
from mechdyn.tensors import Tensor, torch


@runtime_checkable
class AblatedTrace(Protocol):
    """What is read of a trace here; `mechdyn.traces.trace.Trace` has it. `ablated` is None where nothing was to be ablated."""

    @property
    def active(self) -> Bool[Tensor, "step layer head"]: ...

    @property
    def threshold(self) -> float: ...

    @property
    def ablated(self) -> Bool[Tensor, "step layer head"] | None: ...

    @property
    def ablated_scores(self) -> Float[Tensor, "step layer head"] | None: ...


def average_size(traces: Sequence[AblatedTrace]) -> int:
    """The mean number of retrieving heads over the steps of all traces, rounded, at least 1: the size of the paper's controls.

    The paper gives its controls the average number of masked dynamic heads, and takes it we know not where. Here it is measured on the
    correct traces of the detection set, every step counting, so that it is fixed before the grid is run.

    Raises:
        InputError: no step in any trace.
    """
    n_steps = sum(len(trace.active) for trace in traces)
    if n_steps == 0:
        raise InputError(f"the average number of dynamic heads needs traces with at least one step, got {len(traces)} traces without any")
    return max(1, round(sum(int(trace.active.sum()) for trace in traces) / n_steps))


def heads_ablated(groups: Sequence[Sequence[AblatedTrace]], clusters: Clusters | None = None, *, seed: int = 0) -> Interval:
    """How many heads were off at a step: mean over the steps of all samples, interval by sample; 0 for traces without ablation.

    Args:
        groups: the traces of each sample, one for each draw of random heads.
        clusters: a label for each sample.
        seed: of the bootstrap.
    """
    sums = np.array([sum(_n_ablated(trace) for trace in draws) for draws in groups])
    counts = np.array([sum(len(trace.active) for trace in draws) for draws in groups])
    return bootstrap_mean(sums, counts, clusters, seed=seed)


def share_retrieving(groups: Sequence[Sequence[AblatedTrace]], clusters: Clusters | None = None) -> Interval:
    """Of the heads that were off, how many retrieved at the step: the overlap of a condition with the dynamic heads, 1 where it is they.

    A control that overlaps with what it is a control for says the less. NaN where no head was ever off. `groups` as in `heads_ablated`.
    """
    hits = np.array([sum(int((trace.ablated & trace.active).sum()) for trace in draws if trace.ablated is not None) for draws in groups])
    return share_interval(hits, np.array([sum(_n_ablated(trace) for trace in draws) for draws in groups]), clusters)


def _n_ablated(trace: AblatedTrace) -> int:
    return 0 if trace.ablated is None else int(trace.ablated.sum())


def compensated_heads(trace: AblatedTrace, static: HeadSet) -> float:
    """m_s = max over steps of |E ∩ H_static|, E = H' − H: static heads that retrieve only once others are off (A.2).

    H are the heads above the threshold in the observing forward of a step, H' those in the ablated forward of the same input, each against
    the token that its own forward predicts. Without ablation H' is H, so m_s is 0. A trace without a step gives NaN.

    Raises:
        InputError: the static list is of a model of another shape.
    """
    static = static.fit(*trace.active.shape[1:])
    if len(trace.active) == 0:
        return float("nan")
    if trace.ablated_scores is None:
        return 0.0
    compensated = (trace.ablated_scores > trace.threshold) & ~trace.active & static.mask()
    return float(compensated.flatten(1).sum(dim=1).max())


def mean_compensated(traces: Sequence[AblatedTrace], static: HeadSet, clusters: Clusters | None = None, *, seed: int = 0) -> Interval:
    """The mean of `compensated_heads` over samples (A.2), interval by sample or, with a label for each, by cluster.

    Samples without a step are left out; `n` counts the rest.
    """
    peaks = torch.tensor([compensated_heads(trace, static) for trace in traces], dtype=torch.float64).numpy()
    return bootstrap_mean(peaks, (~np.isnan(peaks)).astype(np.int64), clusters, seed=seed)
