"""Metrics against scikit-learn on fresh random predictions."""

import numpy as np
import pytest
import torch
from sklearn import metrics

from mechdyn.errors import InputError
from mechdyn.probes.dataset import ProbeRows
from mechdyn.probes.report import auprc_by_head, best_threshold, classification, regression


def random_rows(seed, binary=True):
    generator = torch.Generator().manual_seed(seed)
    sample = torch.arange(8).repeat_interleave(torch.randint(2, 7, (8,), generator=generator))
    drawn = torch.rand(len(sample), 6, generator=generator)
    target = (drawn < 0.3).float() if binary else drawn
    prediction = (target + torch.randn(target.shape, generator=generator) * 0.6).double()
    return ProbeRows(torch.zeros(len(sample), 2), target, target, sample, torch.zeros_like(sample), torch.zeros_like(sample), 8), prediction


@pytest.mark.parametrize("seed", range(8))
def test_classification_equals_scikit_learn(seed):
    rows, prediction = random_rows(seed)
    found = classification(prediction, rows, 0.4)
    labels, chosen = rows.target.numpy().ravel(), (prediction >= 0.4).numpy().ravel()
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(labels, chosen, average="binary")
    assert [found.precision.estimate, found.recall.estimate, found.f1.estimate] == pytest.approx([precision, recall, f1])
    assert found.auprc.estimate == pytest.approx(metrics.average_precision_score(labels, prediction.numpy().ravel()))
    for interval in (found.precision, found.recall, found.f1, found.auprc):
        assert interval.low < interval.estimate < interval.high
        assert interval.n == 8
    assert (found.n_labels, found.n_positive) == (labels.size, int(labels.sum()))
    by_head = [metrics.average_precision_score(rows.target[:, head], prediction[:, head]) for head in range(6)]
    assert auprc_by_head(prediction, rows) == pytest.approx(by_head)


@pytest.mark.parametrize("seed", range(8))
def test_regression_equals_scikit_learn(seed):
    rows, prediction = random_rows(seed, binary=False)
    found, target = regression(prediction, rows), rows.target.double()
    assert found.mse.estimate == pytest.approx(metrics.mean_squared_error(target, prediction))
    assert found.mae.estimate == pytest.approx(metrics.mean_absolute_error(target, prediction))
    assert found.r2.estimate == pytest.approx(metrics.r2_score(target, prediction))
    assert found.r2_weighted.estimate == pytest.approx(metrics.r2_score(target, prediction, multioutput="variance_weighted"))
    assert found.mse.low < found.mse.estimate < found.mse.high


def test_heads_that_never_vary_have_no_share_in_r2():
    rows, prediction = random_rows(0, binary=False)
    expected = regression(prediction, rows)
    rows.target[:, 2] = 0.25
    assert regression(prediction, rows).n_constant == 1
    varying = [head for head in range(6) if head != 2]
    assert regression(prediction, rows).r2.estimate == pytest.approx(
        metrics.r2_score(rows.target[:, varying].double(), prediction[:, varying])
    )
    assert expected.n_constant == 0
    rows.target[:] = 0.25
    assert np.isnan(regression(prediction, rows).r2.estimate)


@pytest.mark.parametrize("seed", range(8))
def test_no_other_threshold_has_a_higher_f1(seed):
    rows, prediction = random_rows(seed)
    labels = rows.target.numpy().ravel()

    def f1(threshold):
        return metrics.f1_score(labels, (prediction >= threshold).numpy().ravel())

    best = best_threshold(prediction, rows.target)
    assert f1(best) == pytest.approx(max(map(f1, prediction.unique().tolist())))


def test_a_prediction_of_nothing_has_no_precision():
    rows, prediction = random_rows(0)
    found = classification(prediction, rows, 100.0)
    assert np.isnan(found.precision.estimate)
    assert found.recall.estimate == found.f1.estimate == 0.0


def test_a_threshold_needs_a_positive_target():
    rows, prediction = random_rows(0)
    with pytest.raises(InputError, match="needs a retrieving step among the validation samples, there is none; trace more samples"):
        best_threshold(prediction, torch.zeros_like(rows.target))
