"""What claims rest on, drawn with a known truth: shares and differences in clusters, entropy, Q and T − L, areas, what is cross-fitted.

What is fitted on samples and measured on others has no truth apart from them: its interval is for what such fits come to on average, which
is taken from the runs themselves (`World.truth` is None).
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from scipy import stats

from experiments.coverage.worlds import CLUSTER, World
from mechdyn.heads import RankedHeads
from mechdyn.stats.cca_crossfit import cross_fitted_correlation
from mechdyn.stats.fixed_list import fixed_list
from mechdyn.stats.interval import Interval
from mechdyn.stats.means import paired_difference, share_interval
from mechdyn.stats.overlap import head_entropy, static_ranking
from mechdyn.stats.stratified import Stratified
from mechdyn.studies.alarm import DEPLOYABLE, gain_of
from mechdyn.studies.alarm_worlds import WORLDS as ALARM_WORLDS
from mechdyn.studies.alarm_worlds import simulate_rows
from mechdyn.studies.hidden_worlds import WORLDS as HIDDEN_WORLDS
from mechdyn.studies.hidden_worlds import simulate_hidden
from mechdyn.studies.probing import cca_samples
from mechdyn.studies.worlds import WORLDS, simulate
from mechdyn.traces.trace import Trace

Measure = Callable[[np.random.Generator, int], Interval]
_POOL = 3000
"""Pairs of the one model that Q and T − L are measured on: many more than a run draws."""


def in_clusters() -> list[World]:
    """Shares of many trials a sample, and differences of which three samples share a needle."""

    def trials(rng: np.random.Generator, n: int) -> Interval:
        counts = rng.poisson(8, n) + 1
        return share_interval(rng.binomial(counts, rng.beta(4, 1, n)), counts)

    def tango(rng: np.random.Generator, n: int) -> Interval:
        """A needle that is hard is so under both conditions."""
        labels = np.arange(n) // CLUSTER
        level = rng.beta(2, 2, labels[-1] + 1)[labels]
        return paired_difference((rng.random(n) < level).astype(float), (rng.random(n) < 0.8 * level).astype(float), labels)

    def means(rng: np.random.Generator, n: int) -> Interval:
        labels = np.arange(n) // CLUSTER
        own = rng.normal(0.1, 0.2, labels[-1] + 1)[labels]
        return paired_difference(own + rng.normal(0.0, 0.3, n), np.zeros(n), labels)

    return [
        World("share of some nine trials a sample, 0.8 (Wilson, effective n)", 0.8, trials),
        World("difference 0.1, three samples a needle (Tango, effective n)", 0.1, tango),
        World("difference of means, three samples a needle (cluster BCa)", 0.1, means),
    ]


def of_heads() -> list[World]:
    """Entropy of heads whose rates differ from sample to sample; Q and T − L where half of the heads go by token."""
    rates = 0.6 / np.arange(1, 33)
    levels = stats.gamma.ppf((np.arange(10_000) + 0.5) / 10_000, 4.0, scale=0.25)
    known = np.minimum(1.0, rates[:, None] * levels).mean(axis=1)
    share = known / known.sum()

    def entropy(which: str) -> Measure:
        def draw(rng: np.random.Generator, n: int) -> Interval:
            own = np.minimum(1.0, rates * rng.gamma(4.0, 0.25, (n, 1, len(rates))))
            on = rng.random((n, 12, len(rates))) < own
            return getattr(head_entropy([torch.from_numpy(each[:, None]) for each in on]), which)

        return draw

    def shares(which: str) -> Measure:
        def draw(rng: np.random.Generator, n: int) -> Interval:
            pairs, ranking = _half_by_token()
            chosen = [pairs[place] for place in rng.choice(len(pairs), n, replace=False)]
            return getattr(fixed_list(chosen, ranking, n_resamples=1000), which)

        return draw

    exact = float(-(share * np.log(share)).sum())
    return [
        World("entropy of 32 heads, plain", exact, entropy("entropy"), at_most=400),
        World("entropy of 32 heads, Chao and Shen", exact, entropy("chao_shen"), at_most=400),
        World("Q, half of the heads by token", None, shares("explained"), at_most=200),
        World("T - L, half of the heads by token", None, shares("excess"), at_most=200),
    ]


@cache
def _half_by_token() -> tuple[list[tuple[Trace, Trace]], RankedHeads]:
    """Pairs to draw from, of one simulated model: another model would have other heads, and so another Q."""
    found = simulate(WORLDS["half by token, half fixed"], _POOL, seed=0)
    return list(zip(found["evaluation"], found["retest"], strict=True)), static_ranking(found["detection"])


def fitted() -> list[World]:
    """Areas within strata, and what is fitted on four fifths of the samples and measured on the others."""

    def area(place: int) -> Measure:
        def draw(rng: np.random.Generator, n: int) -> Interval:
            """Two tokens a sample, of two kinds; a score that tells right from wrong by one standard deviation."""
            sample = np.repeat(np.arange(n), 2)
            kind = np.tile(np.arange(2), n)
            wrong = rng.random(2 * n) < 0.2 + 0.1 * kind
            rows = Stratified.of(wrong, kind.tolist(), sample, list(range(n)))
            return rows.areas({"score": rng.normal(size=2 * n) + wrong + 0.5 * rng.normal(size=n)[sample]})["score"][place]

        return draw

    def gain(rng: np.random.Generator, n: int) -> Interval:
        rows = simulate_rows(ALARM_WORLDS[0], n, rng)
        return gain_of(rows, DEPLOYABLE, seed=int(rng.integers(2**31))).gain

    def ahead(rng: np.random.Generator, n: int) -> Interval:
        seed = int(rng.integers(2**31))
        traces = simulate_hidden(HIDDEN_WORLDS["heads last, the state knows its own step"], n, seed=seed)
        return cross_fitted_correlation(cca_samples(traces), 0, n_nulls=4, seed=seed).ahead

    return [
        World("AUROC within strata", None, area(0), at_most=100),
        World("AUPRC within strata", None, area(1), at_most=100),
        World("gain in log-loss, n wrong tokens", None, gain, at_most=200),
        World("correlation less its null, cross-fitted", None, ahead, at_most=200),
    ]
