"""What heads off at one step take from its token: numbers of the effect, one place a step."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from experiments.gallery.examples import Made, made_effect, made_trace
from mechdyn.errors import InputError
from mechdyn.traces.effect import Effect
from mechdyn.views import step_effects
from tests.views.made_up import subtitle

EFFECT = made_effect(Made())


def one_set(effect: Effect, place: int) -> Effect:
    return replace(effect, sets=effect.sets[place : place + 1], off=effect.off[place : place + 1], heads=effect.heads[place : place + 1])


def test_by_step_is_a_loop_over_sets_and_steps():
    heads = EFFECT.heads.clone()
    heads[1, 4] = False
    heads[3, 2] = False
    found = replace(EFFECT, heads=heads).by_step()
    assert [name.partition(" ")[0] for name in found] == ["retrieving", "others", "static"]
    for name, places in zip(found, ([0], [1, 2], [3]), strict=True):
        for step in range(EFFECT.n_steps):
            on = [float(EFFECT.clean[step] - EFFECT.off[place, step, 0]) for place in places if heads[place, step].any()]
            assert float(found[name][step]) == pytest.approx(np.mean(on), abs=1e-6) if on else math.isnan(found[name][step])


def test_one_set_is_bars_with_the_numbers_of_the_effect():
    effect = one_set(EFFECT, 0)
    figure = step_effects(effect)
    (bars,) = figure.data
    assert bars.type == "bar" and not figure.layout.showlegend
    np.testing.assert_allclose(bars.y, (effect.clean - effect.off[0, :, 0]).numpy(), rtol=1e-6)
    assert list(bars.x) == list(range(effect.n_steps)) and len(figure.layout.xaxis.ticktext) == effect.n_steps
    assert f"{effect.delta[0, :, 0].mean():.3g} nats" in subtitle(figure)


def test_several_sets_are_points_and_a_set_without_heads_is_a_gap():
    heads = EFFECT.heads.clone()
    heads[0, 3] = False
    figure = step_effects(replace(EFFECT, heads=heads))
    assert [drawn.type for drawn in figure.data] == ["scatter"] * 3 and figure.layout.showlegend
    assert 3 not in figure.data[0].x and 3 in figure.data[2].x
    assert len({drawn.marker.symbol for drawn in figure.data}) == 3


def test_beyond_four_sets_the_legend_shows_the_others():
    names = tuple(f"set {place}" for place in range(6))
    many = replace(EFFECT, sets=names, off=EFFECT.off[:1].repeat(6, 1, 1), heads=EFFECT.heads[:1].repeat(6, 1, 1, 1))
    shown = [drawn.visible for drawn in step_effects(many).data]
    assert shown == [True] * 4 + ["legendonly"] * 2


def test_a_trace_with_an_effect_is_drawn_and_one_without_is_refused():
    trace = made_trace(Made())
    assert step_effects(replace(trace, effect=EFFECT)).data[0].y.tolist() == step_effects(EFFECT).data[0].y.tolist()
    with pytest.raises(InputError, match=r"md\.effect.* returns, got a trace along which none was measured"):
        step_effects(trace)
    nothing = Effect(("a",), torch.zeros(0, dtype=torch.long), (), torch.zeros(0), torch.zeros(1, 0, 1), torch.zeros(1, 0, 2, 2).bool())
    with pytest.raises(InputError, match="at least one generated token"):
        step_effects(nothing)
