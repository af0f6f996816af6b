"""Which heads to switch off at each step: ablation schedules as values.

A schedule is any frozen dataclass with `heads(observation)` and `as_json()`. Where it also has `check(n_layers, n_heads)`, that is called
before a run.
"""

import random
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechdyn.errors import InputError
from mechdyn.heads import HeadSet, RankedHeads


@dataclass(frozen=True, eq=False)
class Observation:
    """What the observing forward of one row showed at one step.

    `scores` and `active` are the retrieval scores and the heads above the threshold, `patterns` the attention row of each layer.
    """

    sample: str
    step: int
    scores: Float[Tensor, "layer head"]
    active: Bool[Tensor, "layer head"]
    patterns: tuple[Float[Tensor, "head key"], ...]

    def weight(self) -> Float[Tensor, "layer head"]:
        """Each head's attention on its strongest key, which for an active copy-paste head is the copied token."""
        return torch.stack([pattern.amax(dim=-1).float().cpu() for pattern in self.patterns])


@runtime_checkable
class Schedule(Protocol):
    """Chooses the heads to ablate, step by step."""

    def heads(self, observation: Observation) -> Bool[Tensor, "layer head"]:
        """True at the heads to ablate at this step."""
        ...

    def as_json(self) -> dict[str, Any]:
        """Everything that decides the choice, for a unit's key."""
        ...


@dataclass(frozen=True)
class NoAblation:
    """Every head stays on."""

    def heads(self, observation: Observation) -> Bool[Tensor, "layer head"]:
        return torch.zeros_like(observation.active)

    def as_json(self) -> dict[str, Any]:
        return {"kind": "none"}


@dataclass(frozen=True)
class Dynamic:
    """The step's own retrieval heads; with `top_k` the k highest-ranked of them (score, attention on the copied token, index)."""

    top_k: int | None = None

    def check(self, n_layers: int, n_heads: int) -> None:
        if self.top_k is not None:
            _check_size("top_k", self.top_k, n_layers * n_heads)

    def heads(self, observation: Observation) -> Bool[Tensor, "layer head"]:
        if self.top_k is None or int(observation.active.sum()) <= self.top_k:
            return observation.active
        scores, weights = observation.scores.flatten(), observation.weight().flatten()
        rank = sorted(
            observation.active.flatten().nonzero().flatten().tolist(),
            key=lambda index: (-float(scores[index]), -float(weights[index]), index),
        )
        return _mask(rank[: self.top_k], observation.active)

    def as_json(self) -> dict[str, Any]:
        return {"kind": "dynamic", "top_k": self.top_k}


@dataclass(frozen=True)
class Static:
    """The same heads at every step."""

    chosen: HeadSet

    def check(self, n_layers: int, n_heads: int) -> None:
        _check_shape(self.chosen, n_layers, n_heads)

    def heads(self, observation: Observation) -> Bool[Tensor, "layer head"]:
        return self.chosen.mask()

    def as_json(self) -> dict[str, Any]:
        return {"kind": "static", "heads": [str(head) for head in self.chosen]}


@dataclass(frozen=True)
class RandomHeads:
    """`k` heads drawn from all of the model's: afresh at each step, or once for good (`fresh=False`).

    With `matched="layer"`, `k` is not used: each layer gives as many random heads as it has active ones at the step.
    """

    k: int = 0
    seed: int = 0
    fresh: bool = True
    matched: str | None = None

    def __post_init__(self) -> None:
        if self.matched not in (None, "layer"):
            raise InputError(f"random heads can be matched by 'layer' or not at all (None), got {self.matched!r}")

    def check(self, n_layers: int, n_heads: int) -> None:
        _check_size("k", self.k, n_layers * n_heads)

    def heads(self, observation: Observation) -> Bool[Tensor, "layer head"]:
        rng = random.Random(f"random-{self.seed}-{observation.sample}-{observation.step}" if self.fresh else f"random-{self.seed}")
        n_heads = observation.active.shape[1]
        if self.matched == "layer":
            sizes = observation.active.sum(dim=1).tolist()
            chosen = [layer * n_heads + head for layer, size in enumerate(sizes) for head in rng.sample(range(n_heads), size)]
        else:
            chosen = rng.sample(range(observation.active.numel()), self.k)
        return _mask(chosen, observation.active)

    def as_json(self) -> dict[str, Any]:
        return {"kind": "random", "k": self.k, "seed": self.seed, "fresh": self.fresh, "matched": self.matched}


@dataclass(frozen=True)
class SizeMatched:
    """As many heads as are active at the step: the first of a static ranking, or random ones (of a `RandomHeads`, whose k is not used)."""

    of: RankedHeads | RandomHeads

    def check(self, n_layers: int, n_heads: int) -> None:
        if isinstance(self.of, RankedHeads):
            _check_shape(self.of, n_layers, n_heads)

    def heads(self, observation: Observation) -> Bool[Tensor, "layer head"]:
        size = int(observation.active.sum())
        if size == 0:
            return torch.zeros_like(observation.active)
        if isinstance(self.of, RankedHeads):
            return self.of.top(size).mask()
        return RandomHeads(size, self.of.seed, self.of.fresh).heads(observation)

    def as_json(self) -> dict[str, Any]:
        if isinstance(self.of, RankedHeads):
            return {"kind": "size-matched", "ranking": [str(head) for head in self.of.heads]}
        return {"kind": "size-matched", "of": self.of.as_json()}


def _mask(indices: list[int], like: Bool[Tensor, "layer head"]) -> Bool[Tensor, "layer head"]:
    mask = torch.zeros_like(like)
    mask.view(-1)[indices] = True
    return mask


def _check_size(name: str, size: int, n_total: int) -> None:
    if not 0 <= size <= n_total:
        raise InputError(f"{name} must lie between 0 and {n_total} (the heads of the model), got {size}")


def _check_shape(heads: HeadSet | RankedHeads, n_layers: int, n_heads: int) -> None:
    if (heads.n_layers, heads.n_heads) != (n_layers, n_heads):
        raise InputError(
            f"the static heads are of a model of {heads.n_layers} layers x {heads.n_heads} heads, this one has {n_layers} x {n_heads}; "
            "rank heads on this model"
        )
