r"""Sets of heads that are compared at one step: the step's own, the static list's, and neither's.

docs/definitions.md, "Effects at one step", has what is made of them.

At a step A are the heads that retrieve and S the first |A| of a static ranking. What a step's heads do is measured where the two differ:
its own heads A \ S against the list's S \ A and against heads of neither, as many of each.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jaxtyping import Bool

from mechdyn.errors import InputError
from mechdyn.heads import Head, each_head
from mechdyn.schedules import Observation, Schedule, schedule_from_json
from mechdyn.tensors import Tensor, torch

OWN, STATIC, NEITHER, ACTIVE, OTHERS = "own", "static", "neither", "active", "others"
r"""A \ S; S \ A; heads of neither, in each layer as many as `own`; all of A; heads of neither, in each layer as many as A."""
WHICH = (OWN, STATIC, NEITHER, ACTIVE, OTHERS)
N_DRAWS = 10
"""Random draws that are averaged."""


@dataclass(frozen=True)
class Contrast:
    """`k` heads of one of the sets at each step, or all of them (None); a schedule.

    Own heads are ranked by the step: by score, then attention on the copied token, then index; those of the static list by the list. For
    each own head, in that order, one of neither set is drawn in its layer, no head twice. A step has no head to switch off where any of
    the three sets has fewer than k, so that every k is compared with itself; `active` and `others` know no k, and `others` has none
    where a layer lacks heads.
    """

    which: str
    k: int | None
    ranking: tuple[Head, ...]
    draw: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.which not in WHICH:
            raise InputError(f"a contrast is of one of {', '.join(WHICH)}, got {self.which!r}")
        if self.k is not None and self.k < 1:
            raise InputError(f"a contrast takes k = 1 head or more, or all (None), got {self.k}")

    def check(self, n_layers: int, n_heads: int) -> None:
        outside = [head for head in self.ranking if head.layer >= n_layers or head.head >= n_heads]
        if outside:
            raise InputError(f"head {outside[0]} is outside a model of {n_layers} layers x {n_heads} heads")

    def heads(self, observation: Observation) -> Bool[Tensor, "layer head"]:
        n_heads = observation.active.shape[1]
        active = observation.ranked
        listed = [head.layer * n_heads + head.head for head in self.ranking[: len(active)]]
        own, static = [index for index in active if index not in listed], [index for index in listed if index not in active]
        taken = {*active, *listed}
        if self.which in (ACTIVE, OTHERS):
            chosen = list(active) if self.which == ACTIVE else self._drawn(active, taken, observation)
        else:
            size = min(len(own), len(static)) if self.k is None else self.k
            drawn = self._drawn(own[:size], taken, observation)
            enough = size <= len(static) and len(drawn) == size
            chosen = {OWN: own, STATIC: static, NEITHER: drawn}[self.which][:size] if enough else []
        mask = torch.zeros_like(observation.active)
        mask.view(-1)[chosen] = True
        return mask

    def _drawn(self, like: "tuple[int, ...] | list[int]", taken: set[int], observation: Observation) -> list[int]:
        """For each of these heads another of its layer that is not taken; none at all where a layer has too few."""
        n_heads = observation.active.shape[1]
        rng = random.Random(f"contrast-{self.seed}-{self.draw}-{observation.sample}-{observation.step}")
        free: dict[int, list[int]] = {}
        drawn = []
        for index in like:
            layer = index // n_heads
            if layer not in free:
                places = range(layer * n_heads, (layer + 1) * n_heads)
                free[layer] = rng.sample([place for place in places if place not in taken], len(set(places) - taken))
            if not free[layer]:
                return []
            drawn.append(free[layer].pop())
        return drawn

    def as_json(self) -> dict[str, Any]:
        names = [str(head) for head in self.ranking]
        return {"kind": "contrast", "which": self.which, "k": self.k, "ranking": names, "draw": self.draw, "seed": self.seed}


@dataclass(frozen=True)
class DoseResponse:
    """All contrasts of a ranking: own, static and neither of every size, `neither` in `n_draws` draws; and all of the step's heads."""

    ranking: tuple[Head, ...]
    sizes: tuple[int, ...]
    n_draws: int = N_DRAWS
    seed: int = 0

    @staticmethod
    def name(which: str, k: int, draw: int = 0) -> str:
        """What a set is called among the effects: `own 4`, `neither 4 #0`."""
        return f"{which} {k} #{draw}" if which == NEITHER else f"{which} {k}"

    @cached_property
    def schedules(self) -> dict[str, Schedule]:
        """The schedule of every set by name."""
        found: dict[str, Schedule] = {ACTIVE: Contrast(ACTIVE, None, self.ranking)}
        for k in self.sizes:
            found |= {self.name(which, k): Contrast(which, k, self.ranking, seed=self.seed) for which in (OWN, STATIC)}
            found |= {self.name(NEITHER, k, draw): Contrast(NEITHER, k, self.ranking, draw, self.seed) for draw in range(self.n_draws)}
        return found

    def as_json(self) -> dict[str, Any]:
        names = [str(head) for head in self.ranking]
        return {"kind": "dose-response", "ranking": names, "sizes": list(self.sizes), "draws": self.n_draws, "seed": self.seed}


@dataclass(frozen=True)
class AgainstOthers:
    """All of the step's heads, and for each draw as many of its other heads, layer by layer."""

    n_draws: int = N_DRAWS
    seed: int = 0

    @cached_property
    def schedules(self) -> dict[str, Schedule]:
        """The schedule of every set by name."""
        draws = {f"{OTHERS} #{draw}": Contrast(OTHERS, None, (), draw, self.seed) for draw in range(self.n_draws)}
        return {ACTIVE: Contrast(ACTIVE, None, ()), **draws}

    def as_json(self) -> dict[str, Any]:
        return {"kind": "against-others", "draws": self.n_draws, "seed": self.seed}


def schedules_of(content: Mapping[str, Any], n_layers: int, n_heads: int) -> dict[str, Schedule]:
    """The sets of heads whose effect a unit asks for.

    Args:
        content: what `as_json` of a family here gave, or `{"kind": "sets", "sets": {name: schedule}}`.
        n_layers: layers of the model.
        n_heads: heads a layer.

    Raises:
        InputError: another kind, or content that it does not take.
    """
    kind = content.get("kind")
    try:
        if kind == "dose-response":
            ranking = tuple(each_head(content["ranking"]))
            return DoseResponse(ranking, tuple(content["sizes"]), content["draws"], content["seed"]).schedules
        if kind == "against-others":
            return AgainstOthers(content["draws"], content["seed"]).schedules
        if kind == "sets":
            return {name: schedule_from_json(each, n_layers, n_heads) for name, each in content["sets"].items()}
    except (KeyError, TypeError) as error:
        raise InputError(f"the sets of an effect are written as their as_json gives them, got {dict(content)!r}") from error
    raise InputError(f"the sets of an effect are dose-response, against-others or sets, got {kind!r}")
