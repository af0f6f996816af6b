"""Simulated trainings whose truth is known: which samples each model of each arm answers rightly, drawn by rule.

A sample has a difficulty that all models share; a model answers it rightly where difficulty and noise of its own lie below the model's
skill. A training moves the skill by the arm's gain, and by chance from seed to seed. What a verdict makes of these is its error rate
(`experiments/error_rates.py`).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import norm

N_SEEDS = 3
_SHARED = 0.7
"""Share of the variance of difficulty and noise that all models have in common."""


@dataclass(frozen=True)
class Gains:
    """What each arm's training adds to the share of right answers."""

    retmask: float = 0.0
    random_non_retrieval: float = 0.0
    random_of_all: float = 0.0
    weaker_model: float = 0.0

    @classmethod
    def as_published(cls, gain: float) -> "Gains":
        """RetMask's gain, the others in proportion to it as published (Llama 3.1 8B: 2.28, 0.79, 0.64 and 1.13 points)."""
        return cls(gain, *(gain * points / 2.28 for points in (0.79, 0.64, 1.13)))


@dataclass(frozen=True)
class TrainingWorld:
    """What is true of the arms.

    Attributes:
        name: the world's name.
        supported: whether RetMask gains more than every control.
        gains: of each arm.
        right: share of samples that the model answers rightly before any training.
        by_seed: sd of a training's gain from seed to seed.
    """

    name: str
    supported: bool
    gains: Gains
    right: float = 0.4
    by_seed: float = 0.01

    @property
    def least(self) -> float:
        """RetMask's gain less that of the base, of any mask or of a weaker model, whichever is the best."""
        gains = self.gains
        return gains.retmask - max(0.0, (gains.random_non_retrieval + gains.random_of_all) / 2, gains.weaker_model)


@dataclass(frozen=True, eq=False)
class Trainings:
    """One run of a world: right answers of the untrained model, and by arm of each seed's model."""

    base: Float[np.ndarray, "1 sample"]
    arms: Mapping[str, Float[np.ndarray, "seed sample"]]


def simulate_trainings(world: TrainingWorld, n: int, seed: int) -> Trainings:
    """The answers to `n` samples; arms are called as the fields of `Gains`."""
    rng = np.random.default_rng([seed, n])
    difficulty = rng.normal(0.0, _SHARED**0.5, n)

    def answers(gain: float, by_seed: float) -> Float[np.ndarray, " sample"]:
        share = np.clip(world.right + gain + rng.normal(0.0, by_seed), 0.001, 0.999)
        return (difficulty + rng.normal(0.0, (1 - _SHARED) ** 0.5, n) < norm.ppf(share)).astype(np.float64)

    base = answers(0.0, 0.0)[None]
    arms = {name: np.stack([answers(gain, world.by_seed) for _ in range(N_SEEDS)]) for name, gain in asdict(world.gains).items()}
    return Trainings(base, arms)


WORLDS: Mapping[str, TrainingWorld] = {
    world.name: world
    for world in (
        TrainingWorld("a gain of 0.2, none without retrieval heads off", True, Gains(0.2)),
        TrainingWorld("a gain of 0.2, a third of it by any mask", True, Gains.as_published(0.2)),
        TrainingWorld("a gain of 0.06, a third of it by any mask", True, Gains.as_published(0.06)),
        TrainingWorld("the published gain, 0.023, a third of it by any mask", True, Gains.as_published(0.0228), right=0.464),
        TrainingWorld("a gain of 0.2, all of it by any mask", False, Gains(0.2, 0.2, 0.2)),
        TrainingWorld("a gain of 0.2, all of it by any mask, seeds vary", False, Gains(0.2, 0.2, 0.2), by_seed=0.05),
        TrainingWorld("a gain of 0.2, all of it by a weaker model", False, Gains(0.2, 0.06, 0.06, 0.2)),
        TrainingWorld("no gain", False, Gains()),
        TrainingWorld("no gain, seeds vary", False, Gains(), by_seed=0.05),
        TrainingWorld("harm", False, Gains(-0.1)),
    )
}
