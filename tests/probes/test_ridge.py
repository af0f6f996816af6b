"""The closed form is scikit-learn's, and reads what a line cannot."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from mechdyn.errors import InputError
from mechdyn.probes.auprc import auprc
from mechdyn.probes.dataset import probe_data
from mechdyn.probes.ridge import PENALTIES, ridge_probe
from tests.probes.made_up import D_MODEL, HEADS, LAYERS, planted_traces, random_traces, trace_of


@pytest.mark.parametrize("n_features", [0, 30])
def test_it_is_ridge_regression_under_the_penalty_that_validation_chose(n_features):
    data = probe_data(planted_traces((0,), n_samples=40), seed=1)
    probe = ridge_probe(data, n_features=n_features, seed=2)
    errors = {}
    for penalty in PENALTIES:
        plain = Ridge(penalty).fit(probe.features(data.train), data.train.target.numpy())
        errors[penalty] = float(((plain.predict(probe.features(data.validation)) - data.validation.target.numpy()) ** 2).mean())
    assert probe.penalty == min(errors, key=errors.get)
    rows = [np.concatenate([probe.features(part) for part in (data.train, data.validation)])]
    target = np.concatenate([data.train.target.numpy(), data.validation.target.numpy()])
    plain = Ridge(probe.penalty, solver="svd").fit(*rows, target)
    assert np.allclose(probe(data.test).numpy(), plain.predict(probe.features(data.test)), atol=1e-8)


def test_columns_are_standardised_on_training_and_features_rectified():
    data = probe_data(random_traces(20), seed=3)
    features = ridge_probe(data, n_features=7).features(data.train)
    assert features.shape == (len(data.train), D_MODEL + 7)
    assert np.allclose(features[:, :D_MODEL].mean(axis=0), 0) and np.allclose(features[:, :D_MODEL].std(axis=0), 1)
    assert (features[:, D_MODEL:] >= 0).all() and (features[:, D_MODEL:] == 0).any()


def test_random_features_read_what_a_line_cannot():
    """A head retrieves where two columns have the same sign."""
    generator = torch.Generator().manual_seed(0)
    traces = []
    for index in range(100):
        hidden = torch.randn(12, D_MODEL, generator=generator)
        hidden[:, 2:] *= 0.1
        on = (hidden[:, 0] * hidden[:, 1] > 0)[:, None, None].expand(-1, LAYERS, HEADS)
        traces.append(trace_of(f"s{index}", on, hidden))
    data = probe_data(traces)
    line, curved = (auprc(ridge_probe(data, n_features=n, standardise=False)(data.test), data.test) for n in (0, None))
    assert line.high < 0.75 < curved.low


def test_the_same_seed_gives_the_same_probe():
    data = probe_data(random_traces(20))
    assert torch.equal(ridge_probe(data, seed=4)(data.test), ridge_probe(data, seed=4)(data.test))


@pytest.mark.parametrize("penalties", [(), (1.0, 0.0)])
def test_penalties_must_be_above_zero(penalties):
    with pytest.raises(InputError, match="penalties above 0"):
        ridge_probe(probe_data(random_traces(20)), penalties=penalties)
