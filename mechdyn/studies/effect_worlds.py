"""Simulated dose-response experiments whose truth is known: what heads off at one step take from log p, drawn by rule.

A sample has some steps, each with room for some k; its heads' true effects vary from sample to sample (gamma, so skewed, as measured ones
are), and every step adds noise. What a verdict makes of these is its error rate (`experiments/error_rates.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from mechdyn.contrasts import ACTIVE, N_DRAWS, NEITHER, OWN, STATIC
from mechdyn.studies.dose_response import SETS, SampleDose

SIZES = (1, 2, 4, 8)


@dataclass(frozen=True)
class EffectWorld:
    """What is true of the heads at a step.

    Attributes:
        name: the world's name.
        supported: whether the claim is true, false, or (None) neither: then a verdict either way is an error.
        means: mean Δ (nats) of one head of `own`, `static`, `neither`, and of all active heads together.
        share: the share of samples in which the step's own heads matter at all.
        spread: standard deviation over mean of an effect from sample to sample.
        noise: standard deviation of a step's Δ beside its effect; every set has its own.
        shared: sd of a difficulty that all sets of a sample share.
    """

    name: str
    supported: bool | None
    means: Mapping[str, float] = field(default_factory=dict)
    share: float = 1.0
    spread: float = 1.0
    noise: float = 0.3
    shared: float = 0.2

    def mean(self, name: str) -> float:
        """The mean Δ of a set, 0 where nothing is said of it."""
        return self.means.get(name, 0.0)


def _world(name: str, supported: bool | None, own: float, static: float, neither: float, active: float, **options: float) -> EffectWorld:
    means = MappingProxyType({OWN: own, STATIC: static, NEITHER: neither, ACTIVE: active})
    return EffectWorld(name, supported, means, **options)


WORLDS: tuple[EffectWorld, ...] = (
    _world("only the step's own heads matter", True, 0.3, 0.0, 0.0, 3.0),
    _world("own heads matter in a third of the samples", True, 0.6, 0.0, 0.0, 3.0, share=1 / 3),
    _world("own heads matter twice as much as static ones", True, 0.4, 0.2, 0.0, 3.0),
    _world("static heads matter as much", False, 0.3, 0.3, 0.0, 3.0),
    _world("only how many heads are off matters", False, 0.3, 0.3, 0.3, 3.0),
    _world("what own and static heads share does everything", False, 0.0, 0.0, 0.0, 6.0),
    _world("static heads matter, own ones do not", False, 0.0, 0.3, 0.0, 3.0),
    _world("no head matters (floor)", None, 0.0, 0.0, 0.0, 0.0),
    _world("no head matters, noisy", None, 0.0, 0.0, 0.0, 0.0, noise=2.0),
    _world("static heads matter as much, very skewed", False, 0.3, 0.3, 0.0, 3.0, spread=3.0),
)


def simulate_doses(world: EffectWorld, n: int, rng: np.random.Generator) -> dict[int, list[SampleDose]]:
    """The samples that reach each k, of `n` that were answered correctly."""
    found: dict[int, list[SampleDose]] = {k: [] for k in SIZES}
    for _ in range(n):
        n_steps = 1 + rng.poisson(9)
        room = SIZES[0] * 2 ** rng.geometric(0.5, size=n_steps) // 2
        matters = rng.random() < world.share
        effects = {name: _effect(world, name, rng) * (matters if name == OWN else 1.0) for name in SETS}
        difficulty = rng.normal(0.0, world.shared)
        for k in SIZES:
            reached = int((room >= k).sum())
            if reached:
                values = {
                    name: effects[name] * (1 if name == ACTIVE else k) + difficulty + _noise(world, name, reached, rng) for name in SETS
                }
                found[k].append(SampleDose(values, reached))
    return {k: samples for k, samples in found.items() if samples}


def _effect(world: EffectWorld, name: str, rng: np.random.Generator) -> float:
    """A sample's effect of one head of a set, or of all active ones."""
    mean, shape = world.mean(name), world.spread**-2
    return float(rng.gamma(shape, mean / shape)) if mean else 0.0


def _noise(world: EffectWorld, name: str, n_steps: int, rng: np.random.Generator) -> float:
    """The mean over steps, and of `neither` over draws, of what is no effect."""
    n = n_steps * (N_DRAWS if name == NEITHER else 1)
    values: Float[np.ndarray, " value"] = rng.normal(0.0, world.noise, size=n)
    return float(values.mean())
