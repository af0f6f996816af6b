"""Average precision against every order of tied labels and scikit-learn, its resamples against recomputing each."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from mechdyn.errors import InputError
from mechdyn.probes.auprc import _curve, auprc, auprc_difference
from mechdyn.probes.dataset import ProbeRows
from mechdyn.probes.report import classification
from mechdyn.stats.resampling import draw_weights


def random_rows(seed, n_samples=6, n_heads=3, rate=0.3):
    generator = torch.Generator().manual_seed(seed)
    sample = torch.arange(n_samples).repeat_interleave(torch.randint(1, 4, (n_samples,), generator=generator))
    target = (torch.rand(len(sample), n_heads, generator=generator) < rate).float()
    rows = ProbeRows(torch.zeros(len(sample), 2), target, target, sample, torch.zeros_like(sample), torch.zeros_like(sample), n_samples)
    # Few distinct values, so that many are tied.
    prediction = (torch.rand(len(sample), n_heads, generator=generator) + 0.4 * target).mul(8).round() / 8
    return rows, prediction


def mean_over_orders(target, prediction):
    """Average precision, averaged over every order of tied labels, each tried out."""
    found = listed = 0
    area = 0.0
    for level in np.unique(prediction)[::-1]:
        group = target[prediction == level]
        n_positive = int(group.sum())
        orders = list(combinations(range(1, len(group) + 1), n_positive))
        area += np.mean([sum((found + rank) / (listed + place) for rank, place in enumerate(order, start=1)) for order in orders])
        found, listed = found + n_positive, listed + len(group)
    return area / found


@pytest.mark.parametrize("seed", range(20))
def test_equals_the_mean_over_all_orders_of_ties_and_so_does_every_resample(seed):
    rows, prediction = random_rows(seed)
    target, scores = rows.target.numpy() > 0.5, prediction.numpy()
    found = auprc(prediction, rows)
    assert found.estimate == pytest.approx(mean_over_orders(target.ravel(), scores.ravel()), abs=1e-12)
    assert found.n == rows.n_samples
    draws = np.random.default_rng(seed).integers(0, rows.n_samples, size=(5, rows.n_samples))
    areas = _curve(prediction, rows).areas(draw_weights(draws, rows.n_samples))
    groups = [np.flatnonzero(rows.sample.numpy() == sample) for sample in range(rows.n_samples)]
    for draw, area in zip(draws, areas, strict=True):
        chosen = np.concatenate([groups[sample] for sample in draw])
        if target[chosen].any():
            assert area == pytest.approx(mean_over_orders(target[chosen].ravel(), scores[chosen].ravel()), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_ties_average_to_it(seed):
    rows, prediction = random_rows(seed, n_samples=20, n_heads=8)
    rng = np.random.default_rng(seed)
    target, scores = rows.target.numpy().ravel(), prediction.numpy().ravel()
    areas = [average_precision_score(target, scores + 1e-3 * rng.permutation(len(scores)) / len(scores)) for _ in range(400)]
    assert auprc(prediction, rows).estimate == pytest.approx(np.mean(areas), abs=4 * np.std(areas) / 20)


@pytest.mark.parametrize("seed", range(5))
def test_without_ties_it_is_scikit_learns(seed):
    rows, prediction = random_rows(seed, n_samples=30, n_heads=8)
    prediction += 0.1 * torch.rand(prediction.shape, generator=torch.Generator().manual_seed(seed))
    expected = average_precision_score(rows.target.numpy().ravel(), prediction.numpy().ravel())
    assert auprc(prediction, rows).estimate == pytest.approx(expected, abs=1e-12)


def test_differences_are_paired():
    rows, prediction = random_rows(1, n_samples=30)
    same = auprc_difference(prediction, prediction, rows)
    assert same.estimate == 0.0 and -same.low == same.high < 0.15  # 30 samples do not show that all are equal
    other = prediction.flip(0)
    difference = auprc_difference(prediction, other, rows)
    assert difference.estimate == pytest.approx(auprc(prediction, rows).estimate - auprc(other, rows).estimate)
    assert difference.high - difference.low > 0


def test_a_constant_prediction_gives_what_random_orders_do():
    """The share of positives and a little more: s + (1 - s) H_n / n with s = (p - 1) / (n - 1), the known mean of random rankings."""
    rows, prediction = random_rows(2, n_samples=60)
    n, n_positive = rows.target.numel(), int(rows.target.sum())
    s, harmonic = (n_positive - 1) / (n - 1), sum(1 / i for i in range(1, n + 1))
    found = auprc(torch.ones_like(prediction), rows)
    assert found.estimate == pytest.approx(s + (1 - s) * harmonic / n)
    assert found.estimate == pytest.approx(float(rows.target.mean()), abs=0.03)


def test_without_a_positive_target_it_is_undefined():
    rows, prediction = random_rows(3, rate=0.0)
    found = auprc(prediction, rows)
    assert np.isnan([found.estimate, found.low, found.high]).all()
    assert found.n == rows.n_samples


def test_predictions_of_another_shape_are_refused():
    rows, prediction = random_rows(4)
    with pytest.raises(InputError, match=r"predictions must be of shape \(\d+, 3\)"):
        auprc(prediction[:, :2], rows)


def test_samples_of_one_cluster_are_drawn_as_one():
    """The bounds are those of rows whose samples are the clusters."""
    rows, prediction = random_rows(4, n_samples=36, n_heads=4)
    labels = torch.arange(36) // 3
    together = replace(rows, sample=labels[rows.sample], n_samples=12)
    found, plain = auprc(prediction, replace(rows, clusters=tuple(labels.tolist()))), auprc(prediction, together)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high)) and found.method == "cluster BCa bootstrap"
    of_probe, expected = (classification(prediction, each, 0.5) for each in (replace(rows, clusters=tuple(labels.tolist())), together))
    assert (of_probe.f1.low, of_probe.f1.high) == pytest.approx((expected.f1.low, expected.f1.high))
