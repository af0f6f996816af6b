"""Simulated losses of small caches whose truth is known: what each way to deal a budget out loses on a sample, drawn by rule.

A sample has a difficulty (lognormal, so skewed, as measured losses are) that multiplies what every way to deal loses; each way adds noise
of its own. What a verdict makes of these is its error rate (`experiments/error_rates.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from mechdyn.studies.kv_budgets import Losses
from mechdyn.traces.budgets import ORACLE, SAMPLE, STATIC

PerSample = Float[np.ndarray, " sample"]


@dataclass(frozen=True)
class BudgetWorld:
    """What is true of the ways to deal a budget out.

    Attributes:
        name: the world's name.
        supported: whether the claim is true, false, or (None) neither: then a verdict either way is an error.
        means: mean loss of `static`, `sample` and `oracle`, nats a token.
        spread: sd of log difficulty.
        noise: sd of what a way loses on a sample beside that, as a share of its mean loss.
        sharing: samples that share their difficulty, as those of one needle may.
    """

    name: str
    supported: bool | None
    means: Mapping[str, float] = field(default_factory=dict)
    spread: float = 0.25
    noise: float = 0.07
    sharing: int = 1


class SimulatedLosses(Losses):
    """One run of a world, as the claim's criteria take it."""

    def __init__(self, areas: Mapping[str, PerSample], labels: Int[np.ndarray, " sample"], seed: int) -> None:
        self._areas, self._labels, self._seed = areas, labels, seed

    @property
    def clusters(self) -> Int[np.ndarray, " sample"]:
        return self._labels

    @property
    def seed(self) -> int:
        return self._seed

    def area(self, source: str) -> PerSample:
        return self._areas[source]


def simulate_losses(world: BudgetWorld, n: int, seed: int) -> SimulatedLosses:
    """What `n` samples lose."""
    rng = np.random.default_rng([seed, n])
    labels = np.arange(n) // world.sharing
    # Of mean 1, so that the mean losses are those of the world.
    difficulty = rng.lognormal(-(world.spread**2) / 2, world.spread, labels.max() + 1)[labels]
    areas = {source: mean * (difficulty + rng.normal(0.0, world.noise, n)) for source, mean in world.means.items()}
    return SimulatedLosses(areas, labels, seed)


def _world(name: str, supported: bool | None, static: float, sample: float, oracle: float, **options: Any) -> BudgetWorld:
    return BudgetWorld(name, supported, MappingProxyType({STATIC: static, SAMPLE: sample, ORACLE: oracle}), **options)


WORLDS: Mapping[str, BudgetWorld] = {
    world.name: world
    for world in (
        _world("the step's own scores save a fifth", True, 3.0, 3.0, 2.4),
        _world("the step's own scores save a tenth", True, 3.0, 3.0, 2.7),
        _world("the step's own scores save a tenth, very skewed", True, 3.0, 3.0, 2.7, spread=1.0),
        _world("half of a saving of a fifth is this sample's list", True, 3.0, 2.7, 2.4),
        _world("nothing is saved", False, 3.0, 3.0, 3.0),
        _world("nothing is saved, very noisy", False, 3.0, 3.0, 3.0, noise=0.5),
        _world("nothing is saved, very skewed", False, 3.0, 3.0, 3.0, spread=1.0),
        _world("nothing is saved, needles shared by five", False, 3.0, 3.0, 3.0, sharing=5),
        _world("the step's own scores cost a tenth", False, 3.0, 3.0, 3.3),
        _world("all of a saving of a fifth is this sample's list", None, 3.0, 2.4, 2.4),
        _world("a list loses nothing worth saving", None, 0.008, 0.008, 0.006),
    )
}
