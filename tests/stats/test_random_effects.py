"""Random effects: the textbook's data, an independent likelihood, and what intervals promise, in simulation."""

import math

import numpy as np
import pytest
from scipy import optimize, stats

from mechdyn.errors import InputError
from mechdyn.stats.interval import Interval
from mechdyn.stats.means import bootstrap_mean, mean_interval
from mechdyn.stats.random_effects import random_effects, standard_error

BCG = np.array(
    [
        (4, 119, 11, 128),
        (6, 300, 29, 274),
        (3, 228, 11, 209),
        (62, 13536, 248, 12619),
        (33, 5036, 47, 5761),
        (180, 1361, 372, 1079),
        (8, 2537, 10, 619),
        (505, 87886, 499, 87892),
        (29, 7470, 45, 7232),
        (17, 1699, 65, 1600),
        (186, 50448, 141, 27197),
        (5, 2493, 3, 2338),
        (27, 16886, 29, 17825),
    ],
    dtype=float,
)
"""Tuberculosis with and without vaccination, 13 trials (Colditz et al. 1994), cases and others of each group."""


def test_the_textbooks_numbers():
    """Of metafor's manual: log relative risks by REML; of its page on van Houwelingen et al. (2002): the Q-profile of log odds ratios.

    The root of the latter is searched for to some 1e-4 there.
    """
    a, b, c, d = BCG.T
    risks = random_effects(np.log((a / (a + b)) / (c / (c + d))), np.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d)))
    assert risks.tau**2 == pytest.approx(0.3132, abs=5e-5)
    assert 100 * risks.i_squared == pytest.approx(92.22, abs=5e-3)
    assert risks.mean.estimate == pytest.approx(-0.7145, abs=5e-5)
    odds = random_effects(np.log(a * d / (b * c)), np.sqrt(1 / a + 1 / b + 1 / c + 1 / d))
    assert [bound**2 for bound in odds.tau_bounds] == pytest.approx([0.1302, 1.1812], abs=2e-4)


def simulated(rng, k, tau, mean=0.4):
    errors = rng.uniform(0.05, 0.2, k)
    return rng.normal(mean, np.sqrt(tau**2 + errors**2)), errors


@pytest.mark.parametrize("k", [2, 3, 8])
def test_tau_is_where_an_independent_restricted_likelihood_is_greatest(k):
    """The likelihood of the differences to the first estimate, which no mean is in."""
    rng = np.random.default_rng(k)
    for _ in range(10):
        estimates, errors = simulated(rng, k, 0.2)
        contrast = np.hstack([-np.ones((k - 1, 1)), np.eye(k - 1)])

        def loss(tau, estimates=estimates, errors=errors, contrast=contrast):
            covariance = contrast @ np.diag(errors**2 + tau**2) @ contrast.T
            return -stats.multivariate_normal.logpdf(contrast @ estimates, cov=covariance)

        grid = np.linspace(0, 2, 400)
        start = grid[np.argmin([loss(tau) for tau in grid])]
        best = optimize.minimize_scalar(loss, bounds=(max(0, start - 0.01), start + 0.01), method="bounded").x
        assert random_effects(estimates, errors).tau == pytest.approx(best, abs=2e-3)


def test_equal_errors_give_students_interval_of_the_estimates():
    estimates = np.array([0.1, 0.9, 0.4, 0.6])
    found = random_effects(estimates, np.full(4, 0.01))
    expected = stats.t.interval(0.95, 3, estimates.mean(), stats.sem(estimates))
    assert (found.mean.low, found.mean.high) == pytest.approx(expected, rel=1e-4)
    assert found.weights == pytest.approx([0.25] * 4)


@pytest.mark.parametrize(("k", "tau"), [(4, 0.3), (8, 0.1), (8, 0.0)])
def test_intervals_cover_what_they_are_of(k, tau):
    """The mean, the true value of the next model, and τ, with slack for the number of simulations; where τ is near 0 they cover more."""
    rng, runs = np.random.default_rng(17), 300
    hits = np.zeros(3)
    for _ in range(runs):
        found = random_effects(*simulated(rng, k, tau))
        after = rng.normal(0.4, tau)
        low, high = found.tau_bounds
        hits += (
            found.mean.low <= 0.4 <= found.mean.high,
            found.prediction[0] <= after <= found.prediction[1],
            low <= tau + 1e-12 <= high + 1e-9,
        )
    shares, slack = hits / runs, 3 * math.sqrt(0.95 * 0.05 / runs)
    assert (shares > 0.95 - slack).all(), shares
    assert tau < 0.2 or (shares < 0.99).all(), shares


def test_two_models_predict_nothing_and_agreeing_ones_have_no_interval_narrower_than_their_errors():
    found = random_effects(np.array([0.5, 0.5]), np.array([0.1, 0.1]))
    assert found.prediction is None and found.tau == 0.0
    assert found.mean.high - found.mean.estimate == pytest.approx(stats.t.isf(0.025, 1) * 0.1 / math.sqrt(2))


def test_the_standard_error_of_an_interval():
    rng = np.random.default_rng(2)
    values, hits = rng.normal(0, 1, 400), (rng.random(300) < 0.5).astype(float)
    assert standard_error(bootstrap_mean(values, np.ones(400))) == pytest.approx(stats.sem(values), rel=0.1)
    assert standard_error(mean_interval(hits)) == pytest.approx(math.sqrt(hits.mean() * (1 - hits.mean()) / 300), rel=0.02)
    assert standard_error(Interval(1.0, 1.0, 1.0, 40, "no spread")) is None and standard_error(Interval(1.0, math.nan, math.nan, 1)) is None


@pytest.mark.parametrize("errors", [[0.1], [0.1, 0.0], [0.1, math.nan]])
def test_what_cannot_be_pooled_is_refused(errors):
    with pytest.raises(InputError, match="a meta-analysis needs"):
        random_effects(np.array([0.5, 0.6]), np.array(errors))
    with pytest.raises(InputError, match="2 or more"):
        random_effects(np.array([0.5]), np.array([0.1]))
