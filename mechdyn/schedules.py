"""Which heads to switch off at each step: ablation schedules as values.

A schedule is a frozen dataclass with `heads(observation)`, decorated with `@schedule("kind")`. Kind and fields are its JSON form, by
which a unit names it and from which it is made again. Where it also has `check(n_layers, n_heads)`, that is called before a run.
"""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechdyn.errors import InputError
from mechdyn.exclusion import ACTIVE, Excluded, barred, check_excluded, excluded_as_json, fit_excluded, read_excluded
from mechdyn.heads import HeadSet, RankedHeads, each_head, heads
from mechdyn.registry import Registry, parse_spec


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
            _check_size("top_k", self.top_k, n_layers * n_heads)

    def heads(self, observation: Observation) -> Bool[Tensor, "layer head"]:
        if self.top_k is None or int(observation.active.sum()) <= self.top_k:
            return observation.active
        return _mask(list(observation.ranked[: self.top_k]), observation.active)

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
        return cls(heads(_only(content, "heads"), n_layers, n_heads))


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
        return cls(tuple(heads(each, n_layers, n_heads) for each in _only(content, "heads")))


@schedule("random")
@dataclass(frozen=True)
class RandomHeads:
    """`k` heads drawn from all of the model's: afresh at each step, or once for good (`fresh=False`).

    With `matched="layer"`, `k` is not used: each layer gives as many random heads as it has active ones at the step.

    A control must not hit what it is a control for: `exclude="active"` draws none of the heads that retrieve at the step, `exclude` with
    heads none of those. Where fewer are left than are asked for (a layer of which most heads retrieve), all that are left are taken.
    """

    k: int = 0
    seed: int = 0
    fresh: bool = True
    matched: str | None = None
    exclude: Excluded = None

    def __post_init__(self) -> None:
        if self.matched not in (None, "layer"):
            raise InputError(f"random heads can be matched by 'layer' or not at all (None), got {self.matched!r}")
        check_excluded(self.exclude)

    @property
    def ahead(self) -> bool:
        """Whether the heads are known before the step shows which retrieve."""
        return self.matched is None and self.exclude != ACTIVE

    def check(self, n_layers: int, n_heads: int) -> None:
        _check_size("k", self.k, n_layers * n_heads)
        fit_excluded(self.exclude, n_layers, n_heads)

    def heads(self, observation: Observation) -> Bool[Tensor, "layer head"]:
        rng = random.Random(f"random-{self.seed}-{observation.sample}-{observation.step}" if self.fresh else f"random-{self.seed}")
        n_heads = observation.active.shape[1]
        free = (~barred(self.exclude, observation.active)).flatten().nonzero().flatten().tolist()
        if self.matched == "layer":
            sizes = observation.active.sum(dim=1).tolist()
            layers: list[list[int]] = [[] for _ in sizes]
            for head in free:
                layers[head // n_heads].append(head)
            chosen = [head for layer, size in zip(layers, sizes, strict=True) for head in rng.sample(layer, min(size, len(layer)))]
        else:
            chosen = rng.sample(free, min(self.k, len(free)))
        return _mask(chosen, observation.active)

    def as_json(self) -> dict[str, Any]:
        content = {"kind": "random", "k": self.k, "seed": self.seed, "fresh": self.fresh, "matched": self.matched}
        return content | excluded_as_json(self.exclude)

    @classmethod
    def from_json(cls, content: dict[str, Any], n_layers: int | None, n_heads: int | None) -> "RandomHeads":
        return cls(**{**content, **read_excluded(content, n_layers, n_heads)})


@schedule("size-matched")
@dataclass(frozen=True)
class SizeMatched:
    """As many heads as retrieve at the step: the first of a ranking, or random ones drawn as a `RandomHeads` draws (its k is not used).

    `exclude` passes over heads of the ranking, as that of `RandomHeads` does; what random ones pass over stands there.
    """

    of: RankedHeads | RandomHeads
    exclude: Excluded = None

    def __post_init__(self) -> None:
        check_excluded(self.exclude)
        if self.exclude is not None and isinstance(self.of, RandomHeads):
            raise InputError("of random heads, what is excluded stands with them: SizeMatched(RandomHeads(exclude=…))")

    def check(self, n_layers: int, n_heads: int) -> None:
        if isinstance(self.of, RankedHeads):
            self.of.fit(n_layers, n_heads)
        else:
            fit_excluded(self.of.exclude, n_layers, n_heads)
        fit_excluded(self.exclude, n_layers, n_heads)

    def heads(self, observation: Observation) -> Bool[Tensor, "layer head"]:
        size = int(observation.active.sum())
        if size == 0:
            return torch.zeros_like(observation.active)
        if isinstance(self.of, RankedHeads):
            passed_over = barred(self.exclude, observation.active)
            free = [head for head in self.of.fit(*observation.active.shape).heads if not passed_over[head.layer, head.head]]
            return HeadSet.of(free[:size], *observation.active.shape).mask()
        return replace(self.of, k=size, matched=None).heads(observation)

    def as_json(self) -> dict[str, Any]:
        if isinstance(self.of, RankedHeads):
            ranking = {"kind": "size-matched", "ranking": [str(head) for head in self.of.heads]}
            return ranking | excluded_as_json(self.exclude)
        return {"kind": "size-matched", "of": self.of.as_json()}

    @classmethod
    def from_json(cls, content: dict[str, Any], n_layers: int | None, n_heads: int | None) -> "SizeMatched":
        if "ranking" not in content:
            asked = _only(content, "of")
            read = schedule_from_spec if isinstance(asked, str) else schedule_from_json
            of = read(asked, n_layers, n_heads)
            if not isinstance(of, RandomHeads):
                raise InputError(f"a size-matched schedule is of a ranking or of random heads, got {asked}")
            return cls(of)
        excluded = read_excluded(content, n_layers, n_heads)
        named = tuple(each_head(_only({name: value for name, value in content.items() if name != "exclude"}, "ranking")))
        # A unit holds the order alone, which is all that a schedule uses.
        return cls(RankedHeads(named, (float("nan"),) * len(named), n_layers, n_heads), **excluded)


def _only(content: dict[str, Any], name: str) -> Any:
    """The one argument that there may be."""
    if set(content) != {name}:
        raise TypeError(f"{name} and nothing else")
    return content[name]


def _mask(indices: list[int], like: Bool[Tensor, "layer head"]) -> Bool[Tensor, "layer head"]:
    mask = torch.zeros_like(like)
    mask.view(-1)[indices] = True
    return mask


def _check_size(name: str, size: int, n_total: int) -> None:
    if not isinstance(size, int) or not 0 <= size <= n_total:
        raise InputError(f"{name} must lie between 0 and {n_total} (the heads of the model), got {size!r}")
