"""An effect says what its numbers say, and comes back from a store as it was."""

import dataclasses
import json

import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.traces.effect import Effect
from mechdyn.traces.store import TraceStore
from tests.traces.examples import HEADS, LAYERS, manifest, random_trace


def random_effect(trace, lags=2, n_sets=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    clean = -torch.rand(trace.n_steps, generator=generator)
    heads = torch.rand(n_sets, trace.n_steps, LAYERS, HEADS, generator=generator) < 0.1
    off = torch.full((n_sets, trace.n_steps, lags + 1), torch.nan)
    for step in range(trace.n_steps):
        later = clean[step : step + lags + 1]
        off[:, step, : len(later)] = later
    some = heads.flatten(2).any(dim=2)
    off[some] -= torch.rand(int(some.sum()), lags + 1, generator=generator)
    return Effect(tuple(f"set {i}" for i in range(n_sets)), trace.tokens, trace.token_texts, clean, off, heads)


def test_delta_is_by_loops_what_its_definition_says():
    effect = random_effect(random_trace("u", 5))
    for place in range(3):
        for step in range(5):
            for lag in range(3):
                delta = effect.delta[place, step, lag]
                if step + lag < 5:
                    assert float(delta) == pytest.approx(float(effect.clean[step + lag] - effect.off[place, step, lag]))
                    if not effect.heads[place, step].any():
                        assert float(delta) == 0.0
                else:
                    assert delta.isnan()
    assert torch.equal(effect.of("set 1").nan_to_num(9.0), effect.delta[1].nan_to_num(9.0))
    with pytest.raises(InputError, match="no set of heads is called 'other'; there are set 0, set 1, set 2"):
        effect.of("other")


def test_a_frame_has_a_row_for_each_set_step_and_lag_that_there_is():
    effect = random_effect(random_trace("u", 5))
    frame = effect.to_frame()
    assert len(frame) == 3 * (5 + 4 + 3) and not frame.isna().any(axis=None)
    assert frame.groupby(["set", "step"]).heads_off.first().tolist() == effect.n_off.flatten().tolist()
    row = frame[(frame["set"] == "set 2") & (frame.step == 1) & (frame.lag == 2)].iloc[0]
    assert (row.token, row.target) == (effect.token_texts[1], effect.token_texts[3])
    assert row.delta == pytest.approx(float(effect.delta[2, 1, 2])) and row.delta == pytest.approx(row.log_p_clean - row.log_p_off)


@pytest.mark.parametrize("n_steps", [0, 1, 6])
def test_a_store_keeps_it_beside_its_trace(tmp_path, n_steps):
    store = TraceStore.create(tmp_path / "store", manifest())
    plain = random_trace("plain", 4)
    trace = random_trace("measured", n_steps)
    trace = dataclasses.replace(trace, effect=random_effect(trace))
    store.append([plain, trace])
    found = TraceStore.open(tmp_path / "store").load(["plain", "measured"])
    assert found[0].effect is None and found[1].meta == trace.meta
    got, wanted = found[1].effect, trace.effect
    assert (got.sets, got.token_texts) == (wanted.sets, wanted.token_texts)
    assert torch.equal(got.heads, wanted.heads) and torch.equal(got.tokens, wanted.tokens)
    torch.testing.assert_close(got.delta, wanted.delta, atol=1e-6, rtol=0, equal_nan=True)
    json.dumps(trace.effect.as_json(), allow_nan=False)
