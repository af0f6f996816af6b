"""A forecast recovers a planted linear map of low rank, on samples it was not fitted on, and survives JSON."""

import dataclasses

import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.probes.forecast import Forecast, fit_forecast
from tests.views.made_up import made_up

D_MODEL, N_LAYERS, N_HEADS, N_STEPS = 12, 2, 5, 9


def planted(n, seed, noise=0.0):
    """Traces whose scores at a step are a map of rank 2 of the hidden state before."""
    draws = torch.Generator().manual_seed(seed)
    fixed = torch.Generator().manual_seed(99)
    weights = torch.randn(D_MODEL, 2, generator=fixed) @ torch.randn(2, N_LAYERS * N_HEADS, generator=fixed)
    traces = []
    for index in range(n):
        hidden = torch.randn(N_STEPS, D_MODEL, generator=draws) + 3
        scores = torch.zeros(N_STEPS, N_LAYERS * N_HEADS)
        scores[1:] = hidden[:-1] @ weights + 0.5 + noise * torch.randn(N_STEPS - 1, N_LAYERS * N_HEADS, generator=draws)
        made = made_up(scores.reshape(N_STEPS, N_LAYERS, N_HEADS), ["x"] * N_STEPS, unit=f"u{seed}-{index}", sample=f"s{seed}-{index}")
        traces.append(dataclasses.replace(made, hidden=hidden))
    return traces


def test_a_planted_map_is_forecast_on_other_samples():
    forecast = fit_forecast(planted(60, 1), rank=2)
    for trace in planted(3, 2):
        assert torch.allclose(forecast(trace.hidden[:-1]), trace.retrieval_scores[1:], atol=0.1)
    assert forecast.read.shape == (D_MODEL, 2)


def test_a_rank_that_is_too_small_loses():
    found = planted(3, 3)
    errors = [
        sum(float(((forecast(trace.hidden[:-1]) - trace.retrieval_scores[1:]) ** 2).mean()) for trace in found)
        for forecast in (fit_forecast(planted(60, 1), rank=rank) for rank in (1, 2))
    ]
    assert errors[0] > 10 * errors[1]


def test_json_keeps_every_number_and_another_model_is_refused():
    forecast = fit_forecast(planted(20, 4))
    again = Forecast.from_json(forecast.as_json())
    hidden = torch.randn(4, D_MODEL)
    assert torch.equal(again(hidden), forecast(hidden))
    again.check(N_LAYERS, N_HEADS)
    with pytest.raises(InputError, match="not 3 x 5"):
        again.check(3, 5)
    with pytest.raises(InputError, match="width 12, got 7"):
        again(torch.zeros(1, 7))


def test_too_few_samples_are_refused():
    with pytest.raises(InputError, match="trace more samples"):
        fit_forecast(planted(3, 5))
