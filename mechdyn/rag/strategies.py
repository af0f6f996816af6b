"""Whose attention decides what the model may see: the five configurations of section 5.3, the oracle, and the two ends of the scale."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from mechdyn.errors import InputError
from mechdyn.heads import Head, HeadSet, RankedHeads
from mechdyn.probes.probe import Probe
from mechdyn.probes.storage import require_model
from mechdyn.rag.names import (
    DYNAMIC,
    DYNAMIC_RANDOM,
    FIXED_RANDOM,
    FULL_CONTEXT,
    N_HEADS,
    ORACLE,
    STATIC,
    STRATEGIES,
)
from mechdyn.rag.requests import Seen
from mechdyn.tasks.sample import Sample


@runtime_checkable
class HeadChoice(Protocol):
    """Chooses the heads of one retrieval."""

    def heads(self, seen: Seen, sample: str, round: int) -> HeadSet:
        """The heads whose attention is averaged, from what the model showed at this point of a sample's answer."""
        ...

    def check(self, model: Mapping[str, Any], sample: Sample) -> None:
        """Refuse a model (its identity) or a sample that the choice cannot be made on, before anything is run."""
        ...


@dataclass(frozen=True)
class Direct:
    """No retrieval: one answer, with the whole context visible or with none of it."""

    whole: bool

    def check(self, model: Mapping[str, Any], sample: Sample) -> None:
        """Nothing is needed."""


Strategy: TypeAlias = HeadChoice | Direct


@dataclass(frozen=True, eq=False)
class Dynamic:
    """The heads that a probe of the final hidden state scores highest for the step to come."""

    probe: Probe
    n: int = N_HEADS

    def __post_init__(self) -> None:
        if self.probe.offset != 0:
            raise InputError(
                f"dynamic RAG asks for heads of the step itself, the probe predicts {self.probe.offset} steps ahead; fit one at offset 0"
            )

    def heads(self, seen: Seen, sample: str, round: int) -> HeadSet:
        return top_heads(self.probe.predict(seen.hidden[None])[0], self.n)

    def check(self, model: Mapping[str, Any], sample: Sample) -> None:
        require_model(self.probe, model)


@dataclass(frozen=True)
class Oracle:
    """The heads that attend most to the supporting facts at the step to come (Eq. 2), which takes knowing them."""

    n: int = N_HEADS

    def heads(self, seen: Seen, sample: str, round: int) -> HeadSet:
        return top_heads(seen.scores, self.n)

    def check(self, model: Mapping[str, Any], sample: Sample) -> None:
        if not len(sample.needle_positions):
            raise InputError("the oracle ranks heads by their attention to the supporting facts, and this sample has none; leave it out")


@dataclass(frozen=True)
class Static:
    """The same heads always: the first of a ranking from samples that share none with these."""

    ranking: RankedHeads
    n: int = N_HEADS

    def heads(self, seen: Seen, sample: str, round: int) -> HeadSet:
        return self.ranking.top(self.n)

    def check(self, model: Mapping[str, Any], sample: Sample) -> None:
        shape = (self.ranking.n_layers, self.ranking.n_heads)
        if shape != (model["n_layers"], model["n_heads"]):
            raise InputError(
                f"the static heads are of a model of {shape[0]} layers x {shape[1]} heads, this one has {model['n_layers']} x "
                f"{model['n_heads']}; rank heads on this model"
            )


@dataclass(frozen=True)
class Random:
    """Heads drawn from all of the model's: afresh at each retrieval, or once for the whole answer (`fresh=False`)."""

    fresh: bool
    seed: int = 0
    n: int = N_HEADS

    def heads(self, seen: Seen, sample: str, round: int) -> HeadSet:
        n_layers, n_heads = seen.scores.shape
        rng = random.Random(f"rag-{self.seed}-{sample}-{round}" if self.fresh else f"rag-{self.seed}-{sample}")
        chosen = rng.sample(range(n_layers * n_heads), self.n)
        return HeadSet.of([divmod(index, n_heads) for index in chosen], n_layers, n_heads)

    def check(self, model: Mapping[str, Any], sample: Sample) -> None:
        """Any model has heads to draw from; `top_heads` and this refuse more than it has."""
        check_number(self.n, model["n_layers"] * model["n_heads"])


def make_strategy(
    name: str, *, n: int = N_HEADS, seed: int = 0, probe: Probe | None = None, ranking: RankedHeads | None = None
) -> Strategy:
    """The strategy of a name, with what it needs.

    Args:
        name: one of `STRATEGIES`.
        n: heads it chooses.
        seed: of the random ones.
        probe: for `dynamic`, of offset 0, fitted on samples that share none with those it is run on.
        ranking: for `static`, likewise from other samples.

    Raises:
        InputError: an unknown name, or one whose probe or ranking is not given.
    """
    if name not in STRATEGIES:
        raise InputError(f"unknown strategy {name!r}; give some of {', '.join(STRATEGIES)}")
    if name == DYNAMIC:
        if probe is None:
            raise InputError("the strategy dynamic chooses heads by a probe, got none; fit one on other samples, or leave the strategy out")
        return Dynamic(probe, n)
    if name == STATIC:
        if ranking is None:
            raise InputError("the strategy static needs ranked heads, got none; rank them on other samples, or leave the strategy out")
        return Static(ranking, n)
    if name == ORACLE:
        return Oracle(n)
    if name in (DYNAMIC_RANDOM, FIXED_RANDOM):
        return Random(name == DYNAMIC_RANDOM, seed, n)
    return Direct(whole=name == FULL_CONTEXT)


def top_heads(scores: Float[Tensor, "layer head"], n: int) -> HeadSet:
    """The `n` heads of the highest score, ties by (layer, head)."""
    check_number(n, scores.numel())
    order = torch.argsort(scores.flatten(), descending=True, stable=True)[:n].tolist()
    return HeadSet.of([Head(*divmod(index, scores.shape[1])) for index in order], *scores.shape)


def check_number(n: int, n_total: int) -> None:
    """Refuse a number of heads that the model has not."""
    if not 0 < n <= n_total:
        raise InputError(f"a strategy chooses between 1 and {n_total} heads (those of the model), got {n}")
