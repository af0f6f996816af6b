"""Intervals over more than samples: random lists, seeds of training, models."""

import math
from collections.abc import Callable

import numpy as np
from scipy.special import ndtr

from experiments.coverage.worlds import World
from mechdyn.stats.interval import Interval
from mechdyn.stats.lists import mean_over_lists
from mechdyn.stats.random_effects import random_effects
from mechdyn.stats.seeds import difference_over_seeds

Measure = Callable[[np.random.Generator, int], Interval]
MODELS = (3, 5, 8, 20)
"""Over how many models a meta-analysis is simulated."""
_MEAN, _BETWEEN = 0.5, 0.1


def lists_and_seeds() -> list[World]:
    """Samples under ten random lists, and under three seeds of training; each list and each seed has a level of its own."""

    def lists(rng: np.random.Generator, n: int) -> Interval:
        values = 0.5 + rng.normal(0, 0.05, (10, 1)) + rng.normal(0, 0.1, n) + rng.normal(0, 0.1, (10, n))
        return mean_over_lists(values)

    def right(rng: np.random.Generator, n: int) -> Interval:
        levels, easy = rng.beta(18, 2, (10, 1)), rng.normal(0, 1, n)
        return mean_over_lists((ndtr((rng.normal(0, 1, (10, n)) + easy) / math.sqrt(2)) < levels).astype(float))

    def seeds(rng: np.random.Generator, n: int) -> Interval:
        first = rng.normal(0.1, 0.05, (3, 1)) + rng.normal(0, 0.2, n) + rng.normal(0, 0.1, (3, n))
        return difference_over_seeds(first, np.zeros((1, n)))

    return [
        World("mean over samples and ten random lists", 0.5, lists),
        World("right answers, 0.9 on average, over samples and ten random lists", 0.9, right),
        World("difference over samples and three seeds", 0.1, seeds),
    ]


def models() -> list[World]:
    """n models with true values of standard deviation 0.1, measured with errors half, as and twice as large."""

    def drawn(error: float, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        errors = error * _BETWEEN * rng.uniform(0.5, 1.5, n)
        return rng.normal(_MEAN, _BETWEEN, n) + rng.normal(0, errors), errors

    def mean(error: float) -> Measure:
        return lambda rng, n: random_effects(*drawn(error, rng, n)).mean

    def tau(error: float) -> Measure:
        def draw(rng: np.random.Generator, n: int) -> Interval:
            found = random_effects(*drawn(error, rng, n))
            return Interval(found.tau, *found.tau_bounds, n)

        return draw

    def following(error: float) -> Measure:
        def draw(rng: np.random.Generator, n: int) -> Interval:
            """The bounds about the true value of one more model, which should hold 0."""
            found, another = random_effects(*drawn(error, rng, n)), rng.normal(_MEAN, _BETWEEN)
            low, high = found.prediction or (np.nan, np.nan)
            return Interval(found.mean.estimate - another, low - another, high - another, n)

        return draw

    rows = []
    for error in (0.5, 1.0, 2.0):
        told = f"errors {error:g} times the spread"
        rows.append(World(f"mean over models, {told} (REML, Hartung-Knapp)", _MEAN, mean(error), at_most=400))
        rows.append(World(f"spread of models, {told} (Q-profile)", _BETWEEN, tau(error), at_most=400))
        rows.append(World(f"next model, {told} (prediction interval)", 0.0, following(error), at_most=400))
    return rows
