"""Wilson and Tango against scipy, published values and a constrained likelihood; effective sizes against their definition."""

import math

import numpy as np
import pytest
from scipy import optimize, stats

from mechdyn.errors import InputError
from mechdyn.stats.proportions import effective_size, normal_quantile, tango, unseen, wilson

Z = normal_quantile(0.95)


@pytest.mark.parametrize("n", [1, 7, 20, 40, 200])
def test_wilson_is_scipys(n):
    for hits in range(n + 1):
        expected = stats.binomtest(hits, n).proportion_ci(0.95, method="wilson")
        assert wilson(hits / n, n, Z) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_never_has_width_0_and_ends_at_the_share_that_shows_nothing():
    assert wilson(1.0, 40, Z) == pytest.approx((1 - unseen(40, Z), 1.0))
    assert wilson(0.0, 40, Z) == pytest.approx((0.0, unseen(40, Z)))
    assert unseen(40, Z) == pytest.approx(0.0876, abs=1e-4)


@pytest.mark.parametrize(
    ("table", "bounds"),
    [((1, 7, 21), (-0.517, -0.026)), ((6, 16, 161), (-0.1240, -0.0054))],
    ids=["airways, Fagerland et al. 2014", "response, R package contingencytables"],
)
def test_tango_gives_published_values(table, bounds):
    assert tango(*table, Z) == pytest.approx(bounds, abs=6e-4)


def likelihood_bounds(b, c, n, level):
    """Tango's interval without his closed form: the constrained likelihood is maximised numerically at each difference."""

    def statistic(delta):
        """Score statistic of p1 - p2 = delta with the nuisance probability of `second only` at its constrained maximum."""

        def minus_log_likelihood(q):
            cells = ((b, q + delta), (c, q), (n - b - c, 1 - 2 * q - delta))
            return -sum(count * math.log(max(p, 1e-300)) for count, p in cells if count)

        low, high = max(0.0, -delta), (1 - delta) / 2
        q = optimize.minimize_scalar(minus_log_likelihood, bounds=(low, high), method="bounded", options={"xatol": 1e-13}).x
        return (b - c - n * delta) / math.sqrt(n * (2 * q + delta * (1 - delta)))

    z, estimate = stats.norm.ppf((1 + level) / 2), (b - c) / n
    low = optimize.brentq(lambda delta: statistic(delta) - z, -1 + 1e-9, estimate)
    high = optimize.brentq(lambda delta: statistic(delta) + z, estimate, 1 - 1e-9)
    return low, high


@pytest.mark.parametrize("seed", range(6))
def test_tango_is_the_inverted_score_test_of_a_constrained_likelihood(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(10, 80))
    b, c, _ = (int(count) for count in rng.multinomial(n, rng.dirichlet([1, 1, 3])))
    assert tango(b, c, n, Z) == pytest.approx(likelihood_bounds(b, c, n, 0.95), abs=1e-5)


def test_tango_is_antisymmetric_and_never_has_width_0():
    low, high = tango(9, 2, 40, Z)
    assert tango(2, 9, 40, Z) == pytest.approx((-high, -low))
    assert tango(0, 0, 40, Z) == pytest.approx((-unseen(40, Z), unseen(40, Z)))
    assert tango(40, 0, 40, Z) == pytest.approx((1 - 2 * unseen(40, Z) + unseen(40, Z), 1.0), abs=0.1)
    assert tango(40, 0, 40, Z)[1] == 1.0


def test_clusters_of_equal_trials_count_once():
    hits = np.random.default_rng(3).integers(0, 2, 60).astype(float)
    single, fivefold = effective_size(hits, np.ones(60)), effective_size(5 * hits, np.full(60, 5.0))
    assert single == pytest.approx(60, abs=1.0 + 1e-9)
    assert fivefold == pytest.approx(single, rel=0.02)


def test_independent_trials_in_clusters_count_about_as_many_and_never_more():
    rng = np.random.default_rng(4)
    sizes = [effective_size(rng.binomial(10, 0.6, 50).astype(float), np.full(50, 10.0)) for _ in range(200)]
    assert 350 < np.mean(sizes) <= 500
    assert max(sizes) == 500
    assert effective_size(np.full(50, 3.0), np.full(50, 10.0)) == 500


def test_where_all_hit_each_cluster_counts_as_one_trial():
    assert effective_size(np.full(12, 10.0), np.full(12, 10.0)) == 12
    assert effective_size(np.zeros(12), np.full(12, 10.0)) == 12


@pytest.mark.parametrize("level", [0.0, 1.0, 1.95])
def test_a_level_lies_between_0_and_1(level):
    with pytest.raises(InputError, match=f"level must lie between 0 and 1, got {level}"):
        normal_quantile(level)
