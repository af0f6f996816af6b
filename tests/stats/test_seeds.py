"""Differences over seeds and samples: the interval holds its level where both vary, and is the ordinary one where seeds agree."""

import numpy as np
import pytest
from scipy import stats

from mechdyn.errors import InputError
from mechdyn.stats.seeds import SEEDS, difference_over_seeds
from mechdyn.stats.tails import p_above


def world(rng, n_samples, of_samples, of_seeds, n_seeds=3):
    """Differences whose true mean is 0: samples, seeds and noise."""
    samples, seeds = rng.normal(0, of_samples, n_samples), rng.normal(0, of_seeds, n_seeds)
    return samples[None] + seeds[:, None] + rng.normal(0, 0.3, (n_seeds, n_samples))


@pytest.mark.parametrize(("of_samples", "of_seeds"), [(0.5, 0.0), (0.5, 0.05), (0.2, 0.3)])
def test_the_interval_covers_where_seeds_and_samples_vary(of_samples, of_seeds):
    rng = np.random.default_rng(1)
    found = [difference_over_seeds(world(rng, 60, of_samples, of_seeds), np.zeros((1, 60))) for _ in range(1500)]
    covered = np.mean([interval.low <= 0 <= interval.high for interval in found])
    assert covered >= 0.93, "three seeds are few; Satterthwaite's freedom is a little generous where they vary most"
    naive = []
    for _ in range(500 if of_seeds > of_samples else 0):
        values = world(rng, 60, of_samples, of_seeds).mean(axis=0)
        naive.append(abs(stats.ttest_1samp(values, 0).statistic) < stats.t.ppf(0.975, 59))
    assert not naive or np.mean(naive) < 0.7, "a t-test over samples alone would do as well, so nothing was tested"


def test_with_seeds_that_agree_it_is_the_paired_t_test():
    rng = np.random.default_rng(2)
    a, b = rng.normal(0.3, 1, 40), rng.normal(0, 1, 40)
    found = difference_over_seeds(np.tile(a, (3, 1)), b[None])
    expected = stats.ttest_rel(a, b)
    low, high = expected.confidence_interval()
    assert (found.estimate, found.low, found.high) == pytest.approx((np.mean(a - b), low, high))
    assert found.method == SEEDS and found.n == 40
    assert p_above(found, 0.0) == pytest.approx(expected.pvalue / 2, rel=1e-6)


def test_clusters_widen_it_and_seeds_are_paired():
    rng = np.random.default_rng(3)
    shared = np.repeat(rng.normal(0, 1, 10), 6)
    values = np.stack([shared, shared + 0.1, shared - 0.1])
    none, labels = np.zeros((1, 60)), np.repeat(range(10), 6).tolist()
    loose, tight = difference_over_seeds(values, none, labels), difference_over_seeds(values, none)
    assert loose.high - loose.low > 1.8 * (tight.high - tight.low)
    drift = np.array([[0.0], [5.0], [-5.0]])
    paired = difference_over_seeds(values + drift, drift + np.zeros((3, 60)))
    assert paired.high - paired.low == pytest.approx(tight.high - tight.low)


def test_what_has_no_bounds_and_what_is_refused():
    ones = np.ones((3, 5))
    assert np.isnan(difference_over_seeds(ones[:1], ones[:1] * 0.5).low)
    same = difference_over_seeds(ones, ones)
    assert same.estimate == 0 and same.low < 0 < same.high
    missing = ones.copy()
    missing[1, 2] = np.nan
    assert difference_over_seeds(missing, ones * 0).n == 4
    with pytest.raises(InputError, match="must agree"):
        difference_over_seeds(ones, np.ones((2, 5)))
