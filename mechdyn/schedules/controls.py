"""What heads are held against: random ones, and as many of a list as retrieve at the step."""

import random
from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Bool

from mechdyn.errors import InputError
from mechdyn.exclusion import ACTIVE, Excluded, barred, check_excluded, excluded_as_json, fit_excluded, read_excluded
from mechdyn.heads import HeadSet, RankedHeads, each_head
from mechdyn.schedules.arguments import check_size, mask_of, only
from mechdyn.schedules.protocol import Observation, schedule, schedule_from_json, schedule_from_spec
from mechdyn.tensors import Tensor, torch


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
        check_size("k", self.k, n_layers * n_heads)
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
        return mask_of(chosen, observation.active)

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
            asked = only(content, "of")
            read = schedule_from_spec if isinstance(asked, str) else schedule_from_json
            of = read(asked, n_layers, n_heads)
            if not isinstance(of, RandomHeads):
                raise InputError(f"a size-matched schedule is of a ranking or of random heads, got {asked}")
            return cls(of)
        excluded = read_excluded(content, n_layers, n_heads)
        named = tuple(each_head(only({name: value for name, value in content.items() if name != "exclude"}, "ranking")))
        # A unit holds the order alone, which is all that a schedule uses.
        return cls(RankedHeads(named, (float("nan"),) * len(named), n_layers, n_heads), **excluded)
