"""The gain against what is true of drawn data, and against models fitted by hand."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from mechdyn.errors import InputError
from mechdyn.stats.log_loss_gain import cross_fitted_loss, folds_of, log_loss_gain


def drawn(seed, weight, n=4000):
    """Outcomes by a known column and a measure, ten rows a sample."""
    rng = np.random.default_rng(seed)
    known, measure = rng.standard_normal((2, n, 1))
    p = expit(-1 + known[:, 0] + weight * measure[:, 0])
    return known, measure, rng.random(n) < p, np.arange(n) // 10, p


def test_the_gain_is_what_the_true_probabilities_gain():
    known, measure, outcome, sample, p = drawn(0, 1.0)
    found = log_loss_gain(known, measure, outcome, sample, range(400))
    rng = np.random.default_rng(1)
    without = expit(-1 + known + 1.0 * rng.standard_normal((1, 4000))).mean(axis=1)  # the measure averaged out
    entropy = [-(p * np.log(q) + (1 - p) * np.log(1 - q)).mean() for q in (without, p)]
    assert found.gain.estimate == pytest.approx(entropy[0] - entropy[1], abs=0.015)
    assert found.gain.low < entropy[0] - entropy[1] < found.gain.high
    assert found.gain.estimate == pytest.approx(found.without.estimate - found.with_it.estimate, abs=1e-12)


def test_a_measure_of_nothing_gains_nothing():
    gains = [log_loss_gain(*drawn(seed, 0.0, n=1000)[:4], range(100)).gain for seed in range(20)]
    assert all(abs(gain.estimate) < 0.01 for gain in gains)
    assert sum(gain.low > 0 for gain in gains) <= 1


@pytest.mark.parametrize("flipped", [False, True])
def test_with_few_rows_of_an_outcome_there_is_no_interval(flipped):
    known, measure, _, sample, _ = drawn(4, 0.0, n=600)
    few, enough = (np.arange(600) < n for n in (99, 100))
    found = [log_loss_gain(known, measure, outcome != flipped, sample, range(60)) for outcome in (few, enough)]
    assert np.isnan([[each.low, each.high] for each in (found[0].gain, found[0].without, found[0].with_it)]).all()
    assert np.isfinite([each.estimate for each in (found[0].gain, found[0].without)]).all()
    assert found[1].gain.low < found[1].gain.estimate < found[1].gain.high


def test_losses_are_those_of_a_penalised_fit_on_the_other_folds():
    known, _, outcome, sample, _ = drawn(2, 0.0, n=300)
    fold = folds_of(range(30), seed=3)[sample]
    losses = cross_fitted_loss(known, outcome, fold)
    for each in range(5):
        train, test = fold != each, fold == each
        x = (known[:, 0] - known[train].mean()) / known[train].std()
        sign = np.where(outcome, 1.0, -1.0)

        def objective(b, x=x[train], sign=sign[train]):
            return np.log1p(np.exp(-sign * (b[0] + b[1] * x))).sum() + b[1] ** 2 / 2

        b = minimize(objective, np.zeros(2), tol=1e-10).x
        assert losses[test] == pytest.approx(np.log1p(np.exp(-sign[test] * (b[0] + b[1] * x[test]))), abs=1e-3)


def test_clusters_stay_in_one_fold_and_folds_share_out_evenly():
    clusters = [f"text {index // 3}" for index in range(60)]
    fold = folds_of(clusters, seed=1)
    assert all(len(set(fold[start : start + 3])) == 1 for start in range(0, 60, 3))
    assert np.bincount(fold).tolist() == [12] * 5
    with pytest.raises(InputError, match="5 folds and 2 samples"):
        folds_of(["a", "b"])


def test_training_rows_of_one_outcome_give_their_share():
    outcome = np.array([True, False, False, False, False])
    losses = cross_fitted_loss(np.ones((5, 1)), outcome, np.arange(5))
    assert losses[0] == pytest.approx(-np.log(0.5 / 5))
