"""Average precision against scikit-learn, its resamples against recomputing each."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from mechdyn.errors import InputError
from mechdyn.probes.auprc import _curve, auprc, auprc_difference
from mechdyn.probes.dataset import ProbeRows
from mechdyn.stats.resampling import draw_weights


def random_rows(seed, n_samples=6, n_heads=5, rate=0.3):
    generator = torch.Generator().manual_seed(seed)
    sample = torch.arange(n_samples).repeat_interleave(torch.randint(1, 6, (n_samples,), generator=generator))
    target = (torch.rand(len(sample), n_heads, generator=generator) < rate).float()
    rows = ProbeRows(torch.zeros(len(sample), 2), target, target, sample, torch.zeros_like(sample), torch.zeros_like(sample), n_samples)
    # Few distinct values, so that many are tied.
    prediction = (torch.rand(len(sample), n_heads, generator=generator) + 0.4 * target).mul(8).round() / 8
    return rows, prediction


@pytest.mark.parametrize("seed", range(20))
def test_equals_scikit_learn_and_so_does_every_resample(seed):
    rows, prediction = random_rows(seed)
    found = auprc(prediction, rows)
    assert found.estimate == pytest.approx(average_precision_score(rows.target.numpy().ravel(), prediction.numpy().ravel()), abs=1e-12)
    assert found.low <= found.estimate <= found.high
    assert found.n == rows.n_samples
    draws = np.random.default_rng(seed).integers(0, rows.n_samples, size=(20, rows.n_samples))
    areas = _curve(prediction, rows).areas(draw_weights(draws, rows.n_samples))
    groups = [np.flatnonzero(rows.sample.numpy() == sample) for sample in range(rows.n_samples)]
    for draw, area in zip(draws, areas, strict=True):
        chosen = np.concatenate([groups[sample] for sample in draw])
        expected = average_precision_score(rows.target[chosen].numpy().ravel(), prediction[chosen].numpy().ravel())
        assert area == pytest.approx(expected, abs=1e-12)


def test_differences_are_paired():
    rows, prediction = random_rows(1)
    assert auprc_difference(prediction, prediction, rows).high == 0.0
    other = prediction.flip(0)
    difference = auprc_difference(prediction, other, rows)
    assert difference.estimate == pytest.approx(auprc(prediction, rows).estimate - auprc(other, rows).estimate)
    assert difference.high - difference.low > 0


def test_a_constant_prediction_gives_the_share_of_positives():
    rows, prediction = random_rows(2)
    assert auprc(torch.ones_like(prediction), rows).estimate == pytest.approx(float(rows.target.mean()))


def test_without_a_positive_target_it_is_undefined():
    rows, prediction = random_rows(3, rate=0.0)
    found = auprc(prediction, rows)
    assert np.isnan([found.estimate, found.low, found.high]).all()
    assert found.n == rows.n_samples


def test_predictions_of_another_shape_are_refused():
    rows, prediction = random_rows(4)
    with pytest.raises(InputError, match=r"predictions must be of shape \(\d+, 5\)"):
        auprc(prediction[:, :3], rows)
