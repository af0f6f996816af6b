"""What each baseline predicts, recomputed row by row."""

import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.probes.baselines import (
    BaseRate,
    Persistence,
    PersistenceByHead,
    StepRate,
    linear_probe,
    previous_probe,
    shuffled_probe,
)
from mechdyn.probes.dataset import probe_data
from mechdyn.probes.report import report
from tests.probes.made_up import planted_traces, random_traces, repeating_traces, rotating_traces


def test_base_rates_are_means_over_training():
    data = probe_data(random_traces())
    assert torch.allclose(BaseRate.of(data)(data.test)[0], data.train.target.mean(dim=0))
    by_step = StepRate.of(data)(data.test)
    for row in range(len(data.test)):
        same = data.train.step == data.test.step[row]
        expected = data.train.target[same].mean(dim=0) if same.any() else data.train.target.mean(dim=0)
        assert torch.allclose(by_step[row], expected)


def test_steps_beyond_training_get_the_base_rate():
    traces = random_traces(20)
    data = probe_data(traces)
    rates = StepRate.of(data)
    far = data.test.step + 1000
    object.__setattr__(data.test, "step", far)
    assert torch.equal(rates(data.test), rates.rate.expand(len(far), -1))


@pytest.mark.parametrize("offset", [0, 1, 2])
def test_persistence_repeats_the_previous_pattern(offset):
    data = probe_data(random_traces(), offset)
    predicted, known = Persistence.of(data)(data.test), ~data.test.previous[:, 0].isnan()
    assert torch.equal(predicted[known], data.test.previous[known])
    assert (~known).sum() == (data.test.n_samples if offset == 0 else 0)
    assert torch.equal(predicted[~known], BaseRate.of(data)(data.test)[~known])


@pytest.mark.parametrize("offset", [0, 1])
def test_persistence_by_head_counts_what_followed(offset):
    data = probe_data(random_traces(), offset)
    predicted = PersistenceByHead.of(data)(data.test)
    for row in range(len(data.test)):
        for head in range(10):
            state = data.test.previous[row, head]
            same = data.train.previous[:, head] == state
            expected = data.train.target[same, head] if not state.isnan() and same.any() else data.train.target[:, head]
            assert float(predicted[row, head]) == pytest.approx(float(expected.mean()), abs=1e-6)


def test_repeating_scores_are_told_by_persistence_alone():
    data = probe_data(repeating_traces(), 1)
    assert report(Persistence.of(data), data).auprc.estimate == 1.0
    assert report(linear_probe(data), data).auprc.high < 0.7


def test_a_pattern_that_follows_from_the_last_is_read_off_it():
    data = probe_data(rotating_traces(), 1)
    assert report(previous_probe(data), data).auprc.estimate > 0.95
    assert report(Persistence.of(data), data).auprc.high < 0.6
    with pytest.raises(InputError, match="needs offset 1 or more"):
        previous_probe(probe_data(rotating_traces()))


def test_shuffled_labels_teach_nothing():
    data = probe_data(planted_traces((0,)))
    shuffled = report(shuffled_probe(data), data).auprc
    assert shuffled.high < 0.35
    assert torch.equal(data.train.target, probe_data(planted_traces((0,))).train.target)


def test_scores_have_a_ridge_regression_and_no_persistence_by_head():
    traces = random_traces(40, binary=False)
    data = probe_data(traces, binary=False)
    assert linear_probe(data)(data.test).shape == data.test.target.shape
    with pytest.raises(InputError, match="counts binary patterns, these targets are scores"):
        PersistenceByHead.of(data)
