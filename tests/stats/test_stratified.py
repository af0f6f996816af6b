"""Stratified AUROC and average precision against counting pairs one by one, scikit-learn and all orders of ties."""

from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from mechdyn.errors import InputError
from mechdyn.stats.resampling import bootstrap
from mechdyn.stats.stratified import Stratified


def drawn(seed, n=60, n_samples=15, levels=6):
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.3
    score = rng.integers(0, levels, n) + positive * rng.integers(0, 2, n)
    strata = [("abc"[index], int(place)) for index, place in zip(rng.integers(0, 3, n), rng.integers(0, 2, n), strict=True)]
    return positive, strata, rng.integers(0, n_samples, n), score.astype(float)


def pairs(positive, strata, score, weight):
    """Won pairs of one stratum over all of them, every pair looked at."""
    up, down = np.flatnonzero(positive), np.flatnonzero(~positive)
    alike = np.array([[strata[i] == strata[j] for j in down] for i in up])
    won = np.sign(score[up][:, None] - score[down]) / 2 + 0.5
    counts = weight[up][:, None] * weight[down] * alike
    return (won * counts).sum() / counts.sum()


@pytest.mark.parametrize("seed", range(8))
def test_auroc_counts_the_pairs_of_each_stratum(seed):
    positive, strata, sample, score = drawn(seed)
    table = Stratified.of(positive, strata, sample, range(15))
    (auroc, _) = table.areas({"score": score})["score"]
    assert auroc.estimate == pytest.approx(pairs(positive, strata, score, np.ones(60)), abs=1e-12)


def test_its_interval_is_the_bootstrap_of_the_same_count():
    positive, strata, sample, score = drawn(3, n=100, n_samples=25)
    table = Stratified.of(positive, strata, sample, range(25))
    (auroc, _) = table.areas({"score": score}, seed=5)["score"]

    up, down = np.flatnonzero(positive), np.flatnonzero(~positive)
    alike = np.array([[strata[i] == strata[j] for j in down] for i in up])
    won = alike * (np.sign(score[up][:, None] - score[down]) / 2 + 0.5)

    def counted(weights):
        rows = weights[:, sample]
        return np.array([row[up] @ won @ row[down] / (row[up] @ alike @ row[down]) for row in rows])

    expected = bootstrap(counted, 25, limits=(0.0, 1.0), seed=5)
    assert (auroc.low, auroc.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_without_ties_each_stratum_is_scikit_learns(seed):
    positive, strata, sample, score = drawn(seed)
    score = score + np.random.default_rng(seed).random(60) * 1e-3
    table = Stratified.of(positive, strata, sample, range(15))
    auroc, precision = table.areas({"score": score})["score"]
    rows = {stratum: [index for index, each in enumerate(strata) if each == stratum] for stratum in set(strata)}
    both = [index for index in rows.values() if 0 < positive[index].sum() < len(index)]
    weights = [positive[index].sum() for index in both]
    expected = np.average([average_precision_score(positive[index], score[index]) for index in both], weights=weights)
    assert precision.estimate == pytest.approx(expected, abs=1e-12)
    sizes = [positive[index].sum() * (~positive[index]).sum() for index in both]
    assert auroc.estimate == pytest.approx(np.average([roc_auc_score(positive[i], score[i]) for i in both], weights=sizes), abs=1e-12)


def test_ties_have_the_mean_of_all_their_orders():
    positive, score = np.array([1, 0, 1, 0, 0, 1], dtype=bool), np.array([1.0, 1, 1, 1, 0, 0])
    orders = [average_precision_score(positive, score + 1e-3 * np.array(order)) for order in permutations(range(6))]
    _, precision = Stratified.of(positive, ["a"] * 6, np.arange(6), range(6)).areas({"score": score})["score"]
    assert precision.estimate == pytest.approx(np.mean(orders), abs=1e-12)
    assert Stratified.of(positive, ["a"] * 6, np.arange(6), range(6)).base_rate == 0.5


def test_strata_of_one_label_have_no_say():
    positive = np.array([True, False, True, True])
    table = Stratified.of(positive, ["a", "a", "b", "b"], np.arange(4), range(4))
    assert table.n_positive == 1
    assert table.areas({"score": np.array([1.0, 0.0, -5.0, -5.0])})["score"][0].estimate == 1.0
    nothing = Stratified.of(positive, "abcd", np.arange(4), range(4)).areas({"score": np.zeros(4)})["score"]
    assert all(np.isnan(interval.estimate) for interval in nothing)


def test_a_score_that_is_not_a_number_is_refused():
    table = Stratified.of(np.array([True, False]), "aa", np.arange(2), range(2))
    with pytest.raises(InputError, match="none of them NaN"):
        table.areas({"score": np.array([np.nan, 1.0])})
