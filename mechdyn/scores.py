"""Retrieval scores: pure functions of one attention row per head, the tokens it runs over and the needle.

A score is any function of the same form as `copy_paste`; adding one is writing one, and `register_score` gives it a name that a unit can
hold.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechdyn.errors import InputError

_BLOCK = 128


@dataclass(frozen=True)
class StepContext:
    """What one step's attention rows run over.

    `tokens`, `needle` and `visible` have one entry a key position; padding is not visible. `predicted` is the step's argmax token, the ŷ of
    Eq. 1.
    """

    tokens: Int[Tensor, "row key"]
    needle: Bool[Tensor, "row key"]
    visible: Bool[Tensor, "row key"]
    predicted: Int[Tensor, " row"]


@runtime_checkable
class Score(Protocol):
    """Scores of every head of one layer at one step, from the attention pattern of the step's query position."""

    def __call__(self, pattern: Float[Tensor, "row head key"], context: StepContext) -> Float[Tensor, "row head"]: ...


def copy_paste(pattern: Float[Tensor, "row head key"], context: StepContext) -> Float[Tensor, "row head"]:
    """1 where the head's strongest key is a needle token equal to the predicted token, else 0 (Eq. 1).

    The strongest key is taken over all positions of the row, ties to the lowest index.
    """
    strongest = strongest_key(pattern)
    hit = context.needle.gather(1, strongest)
    same = context.tokens.gather(1, strongest) == context.predicted[:, None]
    return (hit & same).to(torch.float32)


def strongest_key(pattern: Float[Tensor, "row head key"]) -> Int[Tensor, "row head"]:
    """The key position of each head's largest weight, the first of several.

    On the CPU `argmax` is several times slower than `amax`, and over long rows no small part of a step: the block with the maximum is found
    first.
    """
    n_keys = pattern.shape[-1]
    if pattern.device.type != "cpu" or n_keys < 16 * _BLOCK:
        return pattern.argmax(dim=-1)  # documented to return the first of several maxima
    n_blocks = n_keys // _BLOCK
    blocks = rearrange(pattern[..., : n_blocks * _BLOCK], "row head (block key) -> row head block key", key=_BLOCK)
    maxima = torch.cat([blocks.amax(dim=-1), pattern[..., -_BLOCK:].amax(dim=-1, keepdim=True)], dim=-1)
    # The last block reaches to the row's end and may overlap the one before; the first block with the maximum is taken.
    start = (maxima.argmax(dim=-1) * _BLOCK).clamp(max=n_keys - _BLOCK)
    block = pattern.gather(-1, start[..., None] + torch.arange(_BLOCK))
    return start + block.argmax(dim=-1)


@dataclass(frozen=True)
class Reasoning:
    """Share of a head's attention that goes to the supporting facts, sink and local window left out (Eq. 2); in [0, 1].

        score = sum of a_i over the needle's positions in R  /  sum of a_i over R,    R = I without I_sink and I_local

    I_sink is the first `sink` visible positions of the row (padding is not visible), I_local the last `local` ones, the query's own
    among them. 0/0 is 0: a head that looks nowhere else does not retrieve. The paper does not take the exclusions off the needle as well;
    without that a fact inside the local window would push the score above 1. It states neither number: 4 is from Xiao et al. 2023, 32
    is ours (DEFINITIONS, "Scores").
    """

    sink: int = 4
    local: int = 32

    def __post_init__(self) -> None:
        for name, size in (("sink", self.sink), ("local", self.local)):
            if size < 0:
                raise InputError(f"{name} is a number of positions to leave out, 0 or more, got {size}; 0 leaves none out")

    def __call__(self, pattern: Float[Tensor, "row head key"], context: StepContext) -> Float[Tensor, "row head"]:
        """Scores of every head."""
        remote = self.remote(context.visible)
        mass = torch.where(remote[:, None], pattern.to(torch.float32), 0.0)
        total = mass.sum(dim=-1)
        needle = torch.where(context.needle[:, None], mass, 0.0).sum(dim=-1)
        # Rounding can carry a quotient of sums past 1; a NaN stays one.
        return torch.where(total == 0, 0.0, needle / total).clamp(max=1.0)

    def remote(self, visible: Bool[Tensor, "row key"]) -> Bool[Tensor, "row key"]:
        """R of Eq. 2: the visible positions behind the sink and before the local window."""
        rank = visible.cumsum(dim=1)
        return visible & (rank > self.sink) & (rank <= rank[:, -1:] - self.local)


@dataclass(frozen=True)
class NamedScore:
    """A score as a unit names it.

    `spec` is JSON and complete (`{"name": "reasoning", "sink": 4, "local": 32}`), so that two ways to ask for the same score hash alike;
    `threshold` is what a head's score must be above for the head to count as retrieving, unless the caller chooses another.
    """

    spec: Mapping[str, Any]
    score: Score
    threshold: float


_REGISTRY: dict[str, tuple[Any, float]] = {}


def register_score(name: str, score: Score | type[Score], threshold: float = 0.0) -> None:
    """Give a score a name.

    Args:
        name: what `named_score` and units call it.
        score: a function of the form of `copy_paste`, or a frozen dataclass of options whose instances are such functions.
        threshold: the default above which a head retrieves.
    """
    if name in _REGISTRY:
        raise InputError(f"a score named {name!r} exists; choose another name")
    if isinstance(score, type) and not is_dataclass(score):
        raise InputError(f"a score with options is a frozen dataclass, got the class {score.__name__}; its fields are what a unit records")
    _REGISTRY[name] = (score, threshold)


def named_score(spec: str | Mapping[str, Any]) -> NamedScore:
    """The score that `spec` names: `"copy_paste"`, or `{"name": "reasoning", "sink": 4, "local": 32}` with options left out at will.

    Raises:
        InputError: a name that is not registered, or options that the score does not have.
    """
    options = {"name": spec} if isinstance(spec, str) else dict(spec)
    name = options.pop("name", None)
    if name not in _REGISTRY:
        raise InputError(f"no score is named {name!r}; scores: {', '.join(_REGISTRY)}")
    registered, threshold = _REGISTRY[name]
    if not isinstance(registered, type):
        if options:
            raise InputError(f"score {name!r} does not take the options {options}: it has none")
        return NamedScore({"name": name}, registered, threshold)
    try:
        score = registered(**options)
    except TypeError as error:
        raise InputError(f"score {name!r} does not take the options {options}: {error}") from error
    return NamedScore({"name": name, **asdict(score)}, score, threshold)


register_score("copy_paste", copy_paste, threshold=0.0)
register_score("reasoning", Reasoning, threshold=0.5)
