"""Every sample is predicted once by what was fitted on others; areas are those of the pooled rows."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from mechdyn.errors import InputError
from mechdyn.probes.baselines import BaseRate, StepRate, linear_probe
from mechdyn.probes.crossfit import compared_areas, cross_fit
from mechdyn.probes.dataset import fold_data
from tests.probes.made_up import planted_traces, random_traces


def test_every_sample_is_tested_once_by_what_did_not_see_it():
    traces = random_traces(23)
    folds = fold_data(traces, 1, seed=3)
    sizes = [(data.train.n_samples, data.validation.n_samples, data.test.n_samples) for data in folds]
    assert [sum(size) for size in sizes] == [23] * 5 and sum(size[2] for size in sizes) == 23
    hidden = torch.cat([data.test.hidden for data in folds])
    assert len(hidden.unique(dim=0)) == len(hidden) == sum(trace.n_steps - 1 for trace in traces)
    for data in folds:
        others = torch.cat([data.train.hidden, data.validation.hidden])
        assert not (data.test.hidden[:, None] == others).all(dim=2).any()


def test_a_sample_is_in_the_same_fold_at_every_offset():
    traces = random_traces(20)
    at_zero, at_two = fold_data(traces, 0), fold_data(traces, 2)
    for zero, two in zip(at_zero, at_two, strict=True):
        assert (two.test.hidden[:, None] == zero.test.hidden).all(dim=2).any(dim=1).all()


def test_areas_are_of_the_pooled_rows():
    folds = fold_data(planted_traces((0,), n_samples=40))
    found = cross_fit(folds, lambda data: {"probe": linear_probe(data), "rate": BaseRate.of(data), "step": StepRate.of(data)})
    areas = compared_areas(found)
    target = found.rows.target.numpy().ravel() > 0.5
    assert areas.areas["probe"].estimate == pytest.approx(average_precision_score(target, found.predictions["probe"].numpy().ravel()))
    by_step, rng = found.predictions["step"].numpy().ravel(), np.random.default_rng(0)
    orders = [average_precision_score(target, by_step + 1e-9 * rng.random(len(by_step))) for _ in range(100)]
    assert areas.areas["step"].estimate == pytest.approx(np.mean(orders), abs=3 * np.std(orders) / 10)
    assert areas.ahead["rate"].estimate == pytest.approx(areas.areas["probe"].estimate - areas.areas["rate"].estimate)
    assert areas.ahead["rate"].low > 0.3 and areas.n_samples == 40 and areas.strongest in ("rate", "step")
    expected = torch.cat([BaseRate.of(data)(data.test) for data in folds])
    assert torch.allclose(found.predictions["rate"], expected.double())


def test_bad_folds_are_named():
    with pytest.raises(InputError, match="at least 2 folds, got 1"):
        fold_data(random_traces(20), n_folds=1)
    with pytest.raises(InputError, match=r"at least 3 samples of more than 0 steps in each of 5 folds, got 3, 3, 3, 3, 2"):
        fold_data(random_traces(14))
    with pytest.raises(InputError, match="needs folds, got none"):
        cross_fit([], lambda data: {})
    names = iter(["one", "two"])
    with pytest.raises(InputError, match=r"the same predictors, got \['one'\] and \['two'\]"):
        cross_fit(fold_data(random_traces(20)), lambda data: {next(names): BaseRate.of(data)})
