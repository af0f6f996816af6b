"""What a schedule is and sees, its name, and its two written forms."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Protocol, TypeVar, runtime_checkable

from jaxtyping import Bool, Float

from mechdyn.errors import InputError
from mechdyn.registry import Registry, parse_spec
from mechdyn.tensors import Tensor, torch


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

    @cached_property
    def ranked(self) -> tuple[int, ...]:
        """The active heads by their flat index, the highest rank first: by score, then attention on the copied token, then index."""
        scores, weights = self.scores.flatten().tolist(), self.weight().flatten().tolist()
        active = self.active.flatten().nonzero().flatten().tolist()
        return tuple(sorted(active, key=lambda index: (-scores[index], -weights[index], index)))


@runtime_checkable
class Schedule(Protocol):
    """Chooses the heads to ablate, step by step."""

    def heads(self, observation: Observation) -> Bool[Tensor, "layer head"]:
        """True at the heads to ablate at this step."""
        ...

    def as_json(self) -> dict[str, Any]:
        """Everything that decides the choice, for a unit's key."""
        ...


SCHEDULES: Registry[type[Any]] = Registry("schedule", "mechdyn.schedules")
Kind = TypeVar("Kind", bound=type[Any])


def schedule(kind: str) -> Callable[[Kind], Kind]:
    """Give a schedule its name: `@schedule("kind")` above a frozen dataclass with `heads(observation)`.

    What the class itself lacks is added: `as_json`, which is `{"kind": kind, **fields}`, and the class method `from_json(content, n_layers,
    n_heads)`, which takes the fields back (both shapes are None where the model is not known). A schedule whose fields are no JSON values
    writes both itself.

    Raises:
        InputError: a kind that another schedule has, or a class that is no frozen dataclass with `heads`.
    """

    def register(made: Kind) -> Kind:
        params = getattr(made, "__dataclass_params__", None)
        if params is None or not params.frozen or not callable(getattr(made, "heads", None)):
            raise InputError(f"a schedule is a frozen dataclass with heads(self, observation), got {made.__name__}; its fields name it")
        if "as_json" not in vars(made):
            made.as_json = lambda self: _fields_as_json(kind, self)
        if "from_json" not in vars(made):
            made.from_json = classmethod(lambda cls, content, n_layers, n_heads: cls(**content))
        SCHEDULES.register(kind, made)
        return made

    return register


def schedule_from_json(content: Mapping[str, Any], n_layers: int | None = None, n_heads: int | None = None) -> Schedule:
    """The schedule that `{"kind": name, **arguments}` describes, for a model of `n_layers` x `n_heads` heads where that is known.

    Raises:
        InputError: an unknown kind, arguments that it does not take, or heads that the model does not have.
    """
    arguments = dict(content)
    kind = arguments.pop("kind", None)
    if not isinstance(kind, str):
        raise InputError(f"a schedule is written as {{'kind': ..., argument: value}}, got {dict(content)!r}")
    made = SCHEDULES.get(kind)
    try:
        return made.from_json(arguments, n_layers, n_heads)
    except (KeyError, TypeError) as error:
        raise InputError(f"schedule {kind!r} does not take {arguments}; write it as the schedule's as_json does") from error


def schedule_from_spec(text: str, n_layers: int | None = None, n_heads: int | None = None) -> Schedule:
    """The schedule that a command line names: `dynamic`, `dynamic:top_k=3`, `static:heads=L3H6 L4H1`.

    Raises:
        InputError: as `schedule_from_json` has it.
    """
    kind, options = parse_spec(text)
    return schedule_from_json({**options, "kind": kind}, n_layers, n_heads)


def _fields_as_json(kind: str, made: Any) -> dict[str, Any]:
    content = {"kind": kind, **{field.name: getattr(made, field.name) for field in fields(made)}}
    try:
        json.dumps(content, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"the fields of schedule {kind!r} must be JSON values, or it needs as_json and from_json: {error}") from error
    return content
