"""Probes find what is there to find, and nothing else."""

from dataclasses import replace

import pytest
import torch

from mechdyn.errors import InputError, NumericalError
from mechdyn.probes.baselines import BaseRate
from mechdyn.probes.dataset import probe_data
from mechdyn.probes.fit import TRAINING, TrainConfig, fit_probe
from mechdyn.probes.mlp import MLPShape
from mechdyn.probes.report import compare
from tests.probes.made_up import planted_traces, random_traces

SHORT = TrainConfig(epochs=3)


@pytest.mark.parametrize("preset", ["auto", "linear"])
def test_a_hidden_state_that_decides_the_heads_is_read_and_one_that_does_not_gives_the_base_rate(preset):
    known, unknown = probe_data(planted_traces((0,), n_samples=60)), probe_data(planted_traces((), n_samples=60))
    read = compare({"probe": fit_probe(known, preset), "base rate": BaseRate.of(known)}, known)
    assert read["probe"].auprc.low > 0.9
    assert read["base rate"].auprc.high < 0.35
    blind = compare({"probe": fit_probe(unknown, preset), "base rate": BaseRate.of(unknown)}, unknown)
    assert blind["probe"].auprc.low < blind["base rate"].auprc.high < 0.35


def test_scores_are_learned_by_regression():
    traces = [replace(trace, retrieval_scores=trace.hidden[:, :10].sigmoid().view(-1, 2, 5)) for trace in planted_traces((0,))]
    data = probe_data(traces, binary=False)
    probe = fit_probe(data, "linear")
    assert probe.threshold is None
    # The sigmoid bends where a line cannot; most of the variance is there all the same.
    assert compare({"probe": probe}, data)["probe"].r2.low > 0.8


def test_the_paper_preset_is_the_papers_training():
    config = TRAINING["paper"]
    assert (config.epochs, config.batch_size, config.learning_rate, config.plateau_patience) == (100, 128, 3e-4, 3)
    assert (config.clip_norm, config.early_stop) == (1.0, None)
    loss = config.loss
    assert (loss.gamma_negative, loss.gamma_positive, loss.clip, loss.eps, loss.per_row) == (4, 1, 0.05, 1e-8, False)


def test_the_same_seed_gives_the_same_probe_and_torchs_generator_stays_as_it_was():
    data = probe_data(random_traces())
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (fit_probe(data, config=SHORT, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    hidden = data.test.hidden
    assert torch.equal(first.predict(hidden), again.predict(hidden))
    assert not torch.equal(first.predict(hidden), other.predict(hidden))
    assert first.training == again.training


def test_without_early_stop_every_epoch_is_run_and_the_last_kept():
    probe = fit_probe(probe_data(random_traces()), config=SHORT)
    assert len(probe.training["train_loss"]) == len(probe.training["validation_loss"]) == 3
    assert probe.training["kept_epoch"] == 2


def test_early_stop_keeps_the_weights_of_the_lowest_validation_loss():
    data = probe_data(random_traces(40))
    config = TrainConfig(learning_rate=1e-2, early_stop=4)
    probe = fit_probe(data, config=config)
    losses = probe.training["validation_loss"]
    best = probe.training["kept_epoch"]
    assert losses[best] == min(losses)
    assert len(losses) == best + 1 + 4 < 100
    # Fitting just so many epochs gives the same weights.
    stopped = fit_probe(data, config=TrainConfig(learning_rate=1e-2, epochs=best + 1))
    assert torch.equal(probe.predict(data.test.hidden), stopped.predict(data.test.hidden))


def test_predictions_have_the_models_shape_and_the_threshold_marks_heads():
    data = probe_data(random_traces())
    probe = fit_probe(data, config=SHORT)
    predicted = probe.predict(data.test.hidden)
    assert predicted.shape == (len(data.test), 2, 5)
    assert ((predicted >= 0) & (predicted <= 1)).all()
    assert torch.equal(probe.heads(data.test.hidden), predicted >= probe.threshold)
    assert torch.equal(probe(data.test), predicted.flatten(1))
    with pytest.raises(InputError, match="reads hidden states of width 24, got 7"):
        probe.predict(torch.zeros(1, 7))


def test_what_cannot_be_fitted_is_one_line():
    data = probe_data(random_traces())
    with pytest.raises(InputError, match="one of paper, auto, linear, got 'huge'"):
        fit_probe(data, "huge")
    with pytest.raises(InputError, match="a probe of these data needs 24 inputs and 10 outputs, the shape has 24 and 9"):
        fit_probe(data, shape=MLPShape(24, 9, ()))
    silent = replace(data, validation=replace(data.validation, target=torch.zeros_like(data.validation.target)))
    with pytest.raises(InputError, match="needs a retrieving step among the validation samples"):
        fit_probe(silent, config=SHORT)
    with pytest.raises(NumericalError, match=r"the probe's loss became .* take a lower learning rate"):
        fit_probe(probe_data(random_traces(), binary=False), shape=MLPShape(24, 10, ()), config=TrainConfig(learning_rate=1e30))
    with pytest.raises(InputError, match="at least 1 epoch"):
        TrainConfig(epochs=0)
