"""Heads that are named beforehand, or that a step shows."""

from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Bool

from mechdyn.errors import InputError
from mechdyn.heads import HeadSet, heads
from mechdyn.schedules.arguments import check_size, mask_of, only
from mechdyn.schedules.protocol import Observation, schedule
from mechdyn.tensors import Tensor, torch


@schedule("none")
@dataclass(frozen=True)
class NoAblation:
    """Every head stays on."""

    def heads(self, observation: Observation) -> Bool[Tensor, "layer head"]:
        return torch.zeros_like(observation.active)

    def as_json(self) -> dict[str, Any]:
        return {"kind": "none"}


@schedule("dynamic")
@dataclass(frozen=True)
class Dynamic:
    """The step's own retrieval heads; with `top_k` the k highest-ranked of them (score, attention on the copied token, index)."""

    top_k: int | None = None

    def check(self, n_layers: int, n_heads: int) -> None:
        if self.top_k is not None:
            check_size("top_k", self.top_k, n_layers * n_heads)

    def heads(self, observation: Observation) -> Bool[Tensor, "layer head"]:
        if self.top_k is None or int(observation.active.sum()) <= self.top_k:
            return observation.active
        return mask_of(list(observation.ranked[: self.top_k]), observation.active)

    def as_json(self) -> dict[str, Any]:
        return {"kind": "dynamic", "top_k": self.top_k}


@schedule("static")
@dataclass(frozen=True)
class Static:
    """The same heads at every step."""

    chosen: HeadSet
    ahead: ClassVar[bool] = True
    """The heads are known before the step shows which retrieve."""

    def check(self, n_layers: int, n_heads: int) -> None:
        self.chosen.fit(n_layers, n_heads)

    def heads(self, observation: Observation) -> Bool[Tensor, "layer head"]:
        return self.chosen.fit(*observation.active.shape).mask()

    def as_json(self) -> dict[str, Any]:
        return {"kind": "static", "heads": [str(head) for head in self.chosen]}

    @classmethod
    def from_json(cls, content: dict[str, Any], n_layers: int | None, n_heads: int | None) -> "Static":
        return cls(heads(only(content, "heads"), n_layers, n_heads))


@schedule("by-step")
@dataclass(frozen=True)
class ByStep:
    """Heads of their own for each step, the first for step 0."""

    chosen: tuple[HeadSet, ...]
    ahead: ClassVar[bool] = True
    """As for `Static`."""

    @classmethod
    def from_masks(cls, masks: Bool[Tensor, "step layer head"]) -> "ByStep":
        """The heads at which each step's mask is true."""
        return cls(tuple(map(HeadSet.from_mask, masks)))

    def check(self, n_layers: int, n_heads: int) -> None:
        for chosen in self.chosen:
            chosen.fit(n_layers, n_heads)

    def heads(self, observation: Observation) -> Bool[Tensor, "layer head"]:
        if observation.step >= len(self.chosen):
            raise InputError(f"heads are given for {len(self.chosen)} steps, and there is a step {observation.step}; give a set a step")
        return self.chosen[observation.step].fit(*observation.active.shape).mask()

    def as_json(self) -> dict[str, Any]:
        return {"kind": "by-step", "heads": [[str(head) for head in chosen] for chosen in self.chosen]}

    @classmethod
    def from_json(cls, content: dict[str, Any], n_layers: int | None, n_heads: int | None) -> "ByStep":
        return cls(tuple(heads(each, n_layers, n_heads) for each in only(content, "heads")))
