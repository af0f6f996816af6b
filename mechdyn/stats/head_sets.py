"""Where heads retrieve: samples as arrays or traces, as rows of heads a step, and the steps that two of one needle share."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from mechdyn.errors import InputError
from mechdyn.tensors import Tensor, torch


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


def head_sets(samples: Sequence[Activity]) -> list[Sets]:
    """Each sample's head sets, one row a step.

    Raises:
        InputError: no sample, or samples of different models.
    """
    actives = [as_active(sample) for sample in samples]
    if not actives:
        raise InputError("head sets need at least one sample, got none")
    shapes = {tuple(active.shape[1:]) for active in actives}
    if len(shapes) > 1:
        raise InputError(f"samples must come from one model, got layers x heads of {sorted(shapes)}")
    return [active.flatten(1).numpy() for active in actives]


def aligned_steps(first: Activity, second: Activity) -> tuple[Bool[Tensor, "step _layer _head"], Bool[Tensor, "step _layer _head"]]:
    """The steps that two samples share: those before the first token in which traces differ; arrays must be equally long."""
    one, other = as_active(first), as_active(second)
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


def as_active(sample: Activity) -> Bool[Tensor, "_step _layer _head"]:
    """Where heads retrieve, of an array or a trace."""
    return sample if isinstance(sample, Tensor) else sample.active
