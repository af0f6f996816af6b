"""Attention heads, sets of them and ranked lists."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor

from mechdyn.errors import InputError

_PRINTED = re.compile(r"L(\d+)H(\d+)")


class Head(NamedTuple):
    """One attention head; both numbers count from 0. Prints as L4H7 and sorts by (layer, head)."""

    layer: int
    head: int

    def __str__(self) -> str:
        return f"L{self.layer}H{self.head}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Read `L4H7`."""
        match = _PRINTED.fullmatch(text.strip())
        if match is None:
            raise InputError(f"a head is written like L4H7 (layer 4, head 7), got {text!r}")
        return cls(int(match[1]), int(match[2]))


@dataclass(frozen=True)
class HeadSet:
    """Heads of a model with `n_layers` layers of `n_heads` heads each."""

    heads: frozenset[Head]
    n_layers: int
    n_heads: int

    def __post_init__(self) -> None:
        for head in self.heads:
            if not (0 <= head.layer < self.n_layers and 0 <= head.head < self.n_heads):
                raise InputError(
                    f"head {head} is outside a model of {self.n_layers} layers x {self.n_heads} heads; "
                    f"layers run from 0 to {self.n_layers - 1}, heads from 0 to {self.n_heads - 1}"
                )

    @classmethod
    def of(cls, heads: Iterable[Head | tuple[int, int]], n_layers: int, n_heads: int) -> "HeadSet":
        """A set from heads or (layer, head) pairs."""
        return cls(frozenset(Head(*head) for head in heads), n_layers, n_heads)

    @classmethod
    def from_mask(cls, mask: Bool[Tensor, "layer head"]) -> "HeadSet":
        """The heads at which `mask` is true."""
        heads = (Head(int(layer), int(head)) for layer, head in mask.nonzero().tolist())
        return cls(frozenset(heads), mask.shape[0], mask.shape[1])

    def mask(self) -> Bool[Tensor, "layer head"]:
        """True where a head is in the set."""
        mask = torch.zeros(self.n_layers, self.n_heads, dtype=torch.bool)
        for layer, head in self.heads:
            mask[layer, head] = True
        return mask

    def jaccard(self, other: "HeadSet") -> float:
        """|A ∩ B| / |A ∪ B|; NaN where both are empty."""
        union = len(self.heads | other.heads)
        return len(self.heads & other.heads) / union if union else float("nan")

    def __len__(self) -> int:
        return len(self.heads)

    def __iter__(self) -> Iterator[Head]:
        return iter(sorted(self.heads))

    def __contains__(self, head: Head | tuple[int, int]) -> bool:
        return Head(*head) in self.heads

    def __str__(self) -> str:
        return " ".join(str(head) for head in self) or "(no heads)"

    __repr__ = __str__


@dataclass(frozen=True)
class RankedHeads:
    """Heads in descending order of a score, ties by (layer, head): a static list is its first k."""

    heads: tuple[Head, ...]
    scores: tuple[float, ...]
    n_layers: int
    n_heads: int

    def top(self, k: int) -> HeadSet:
        """The first `k` heads."""
        if not 0 < k <= len(self.heads):
            raise InputError(f"top-k needs 1 <= k <= {len(self.heads)} (the heads of the model), got {k}")
        return HeadSet(frozenset(self.heads[:k]), self.n_layers, self.n_heads)

    def save(self, path: str | Path) -> None:
        """Write `{"layer-head": [score]}`, the layout of Wu et al. 2024."""
        rows = {f"{layer}-{head}": [score] for (layer, head), score in zip(self.heads, self.scores, strict=True)}
        Path(path).write_text(json.dumps(rows))


def rank_heads(scores: Iterable[tuple[Head, float]], n_layers: int, n_heads: int) -> RankedHeads:
    """Sort heads by descending score, ties by (layer, head)."""
    ranked = sorted(scores, key=lambda pair: (-pair[1], pair[0]))
    return RankedHeads(tuple(head for head, _ in ranked), tuple(score for _, score in ranked), n_layers, n_heads)
