"""Data with a known truth: each world draws samples and says what their mean, difference or area is in the population."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import special, stats
from sklearn import metrics

from mechdyn.probes.auprc import auprc
from mechdyn.probes.dataset import ProbeRows
from mechdyn.stats.interval import Interval
from mechdyn.stats.means import bootstrap_mean, mean_interval, paired_difference
from mechdyn.stats.resampling import UNIT, Weights, bootstrap

SHARES = (0.5, 0.8, 0.9, 0.95, 0.975, 0.99)
CLUSTER = 3
"""Samples that share a needle, where they do."""


@dataclass(frozen=True)
class World:
    """`measure` draws `n` samples and gives the interval that mechdyn would print; `truth` is what it should hold.

    Where `truth` is None it is the mean of the estimates of all runs. `heavy` worlds take a second for some hundred runs and are run half
    as often; `at_most` says how many runs are enough.
    """

    name: str
    truth: float | None
    measure: Callable[[np.random.Generator, int], Interval]
    heavy: bool = False
    at_most: int = 1_000_000


def proportions_in_clusters() -> list[World]:
    """0 or 1 a sample, three samples a needle, correlated by 0.5 within it: wrong answers come together."""

    def measure(share: float) -> Callable[[np.random.Generator, int], Interval]:
        def draw(rng: np.random.Generator, n: int) -> Interval:
            labels = np.arange(n) // CLUSTER
            level = rng.beta(share, 1 - share, labels[-1] + 1)  # of correlation 1 / (1 + share + (1 - share))
            return mean_interval((rng.random(n) < level[labels]).astype(float), labels)

        return draw

    return [World(f"p = {share:g}", share, measure(share)) for share in SHARES]


def paired_proportions() -> list[World]:
    """0 or 1 under two conditions: the first right only, the second right only, with these probabilities."""

    def measure(first: float, second: float) -> Callable[[np.random.Generator, int], Interval]:
        def draw(rng: np.random.Generator, n: int) -> Interval:
            u = rng.random(n)
            return paired_difference((u >= second).astype(float), ((u < second) | (u >= second + first)).astype(float))

        return draw

    cells = ((0.3, 0.2), (0.5, 0.05), (0.2, 0.05), (0.1, 0.1), (0.1, 0.0), (0.05, 0.05), (0.9, 0.05))
    return [World(f"only first {first:g}, only second {second:g}", first - second, measure(first, second)) for first, second in cells]


def means_of_shares() -> list[World]:
    """One number in [0, 1] a sample: Jaccards of several kinds, and F1, which is mostly 1."""

    def beta(a: float, b: float) -> Callable[[np.random.Generator, int], Interval]:
        return lambda rng, n: mean_interval(rng.beta(a, b, n))

    def f1(right: float, wrong: float) -> Callable[[np.random.Generator, int], Interval]:
        def draw(rng: np.random.Generator, n: int) -> Interval:
            u = rng.random(n)
            return mean_interval(np.where(u < right, 1.0, np.where(u < right + wrong, 0.0, rng.beta(3, 2, n))))

        return draw

    return [
        World("Jaccard, mean 0.29, sd 0.16", 2 / 7, beta(2, 5)),
        World("Jaccard, mean 0.9, sd 0.09", 0.9, beta(9, 1)),
        World("Jaccard, mean 0.05, sd 0.07", 0.05, beta(0.5, 9.5)),
        World("Jaccard, all or nothing, mean 0.5, sd 0.35", 0.5, beta(0.5, 0.5)),
        World("F1, 70 % right, 15 % wrong, mean 0.79", 0.79, f1(0.7, 0.15)),
        World("F1, 90 % right, 5 % wrong, mean 0.93", 0.93, f1(0.9, 0.05)),
    ]


def pooled_means() -> list[World]:
    """Means pooled over steps: Σ sums / Σ counts, samples of different length, and samples in clusters."""

    def jaccard(rng: np.random.Generator, n: int) -> Interval:
        """Long answers have lower Jaccards."""
        counts = rng.poisson(6, n) + 1
        values = rng.beta(2, 4, n) * np.where(counts > 7, 0.5, 1.0)
        return bootstrap_mean(values * counts, counts, limits=UNIT)

    lengths = np.arange(200)
    chance = stats.poisson.pmf(lengths, 6)
    longer = np.where(lengths + 1 > 7, 0.5, 1.0)
    truth = float((chance * (lengths + 1) * longer).sum() / (chance * (lengths + 1)).sum()) / 3

    def clustered(rng: np.random.Generator, n: int) -> Interval:
        labels = np.arange(n) // CLUSTER
        level = rng.normal(-1.0, 0.8, labels[-1] + 1)[labels] + rng.normal(0.0, 0.6, n)
        return bootstrap_mean(special.expit(level), np.ones(n), labels, limits=UNIT)

    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    mean = float((special.expit(-1.0 + nodes) * weights).sum() / weights.sum())
    counts = World(
        "heads per step, skewed (lognormal)", float(np.exp(0.125)), lambda rng, n: bootstrap_mean(rng.lognormal(0, 0.5, n), np.ones(n))
    )
    return [World("Jaccard pooled over steps", truth, jaccard), World("Jaccard, three samples a needle", mean, clustered), counts]


def paired_means() -> list[World]:
    """Differences of F1 or of log probabilities under two conditions; most samples do not change."""

    def both_ways(rng: np.random.Generator, n: int) -> Interval:
        u, change = rng.random(n), rng.beta(2, 2, n)
        return paired_difference(np.where(u < 0.2, change, 0.0), np.where(u > 0.95, change, 0.0))

    def one_way(rng: np.random.Generator, n: int) -> Interval:
        return paired_difference(np.where(rng.random(n) < 0.15, rng.beta(2, 2, n), 0.0), np.zeros(n))

    def half(rng: np.random.Generator, n: int) -> Interval:
        return paired_difference(rng.beta(4, 2, n), rng.beta(2, 2, n))

    def log_probability(rng: np.random.Generator, n: int) -> Interval:
        return paired_difference(rng.gamma(1.0, 1.0, n), rng.normal(0.5, 0.3, n))

    return [
        World("F1, all samples change, mean 0.17", 4 / 6 - 0.5, half),
        World("F1, 20 % fall and 5 % rise", 0.075, both_ways),
        World("F1, 15 % fall, none rises", 0.075, one_way),
        World("log probability, exponential effects", 0.5, log_probability),
    ]


def other_statistics() -> list[World]:
    """Statistics that are no mean: a correlation, the area under a precision-recall curve."""

    def correlation(rng: np.random.Generator, n: int) -> Interval:
        """Ten steps a sample, which share a level."""
        x = rng.normal(size=(n, 1)) + rng.normal(size=(n, 10))
        y = 0.8 * x + rng.normal(size=(n, 1)) + rng.normal(size=(n, 10))
        moments = np.stack([np.full(n, 10.0), *(part.sum(axis=1) for part in (x, y, x * x, y * y, x * y))])

        def pearson(weights: Weights) -> np.ndarray:
            count, first, second, xx, yy, xy = moments @ weights.T
            first, second = first / count, second / count
            return (xy / count - first * second) / np.sqrt((xx / count - first**2) * (yy / count - second**2))

        return bootstrap(pearson, n)

    def rows(rng: np.random.Generator, n: int) -> tuple[torch.Tensor, ProbeRows]:
        """Five steps a sample and eight heads; positives are predicted higher by one standard deviation, ties included."""
        sample = np.repeat(np.arange(n), 5)
        target = rng.random((5 * n, 8)) < 0.2 * rng.random((n, 1))[sample] * 2
        prediction = np.round(rng.normal(size=target.shape) + 1.5 * target, 1)
        labels = torch.from_numpy(target).float()
        index = torch.from_numpy(sample)
        nothing = torch.zeros_like(index)
        return torch.from_numpy(prediction).float(), ProbeRows(torch.zeros(5 * n, 1), labels, labels, index, nothing, nothing, n)

    def area(rng: np.random.Generator, n: int) -> Interval:
        return auprc(*rows(rng, n))

    return [
        World("correlation of steps, 0.62", 0.8 * 2 / np.sqrt(2 * (0.64 * 2 + 2)), correlation),
        World("AUPRC", _area_at_large(rows), area, heavy=True),
    ]


def _area_at_large(rows: Callable[[np.random.Generator, int], tuple[torch.Tensor, ProbeRows]]) -> float:
    """The area of a population, by that of 100,000 samples with their ties put into a random order."""
    rng = np.random.default_rng(1)
    prediction, drawn = rows(rng, 100_000)
    ranked = prediction.numpy().ravel() + 0.01 * rng.random(prediction.numel())
    return float(metrics.average_precision_score(drawn.target.numpy().ravel(), ranked))
