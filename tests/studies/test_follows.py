"""What the sets follow: worlds with known truth, the plan, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mechdyn.errors import InputError
from mechdyn.plans import Preset, Request
from mechdyn.stats.contrasts import contrasts
from mechdyn.stats.variance_shares import variance_shares
from mechdyn.studies.follows import ROLE, carried_over, copied_steps, follows, follows_plan, variance_factors
from mechdyn.studies.permuted_worlds import FOLLOWED_WORLDS, simulate_permuted
from mechdyn.studies.world_rules import Shape
from mechdyn.tasks.niah import Niah
from mechdyn.tasks.permuted import Permuted

MODEL = {"name": "made up", "n_layers": 12, "n_heads": 12}


def measured(name, n_needles=10, seed=0):
    steps = copied_steps(simulate_permuted(FOLLOWED_WORLDS[name], n_needles, seed=seed))
    return contrasts(steps), variance_shares(steps.sets, variance_factors(steps), steps.needle).shares


def test_worlds_by_token_and_by_step_are_told_apart():
    token, of_token = measured("by token")
    step, of_step = measured("by step")
    half, of_half = measured("half by token, half by step")
    assert token.token_less_step.low > 0 > step.token_less_step.high
    assert token.token_share.low > 0.95
    assert step.step_share.low > 0.95
    assert abs(token.step_share.estimate) < 0.05
    assert abs(step.token_share.estimate) < 0.05
    assert all(0.2 < share.estimate < 0.6 for share in (half.token_share, half.step_share))
    assert of_token["token"].estimate > 0.8
    assert abs(of_token["step"].estimate) < 0.05
    assert of_step["step"].estimate > 0.8
    assert all(0.25 < of_half[name].estimate < 0.6 for name in ("token", "step"))


@pytest.mark.parametrize(
    ("name", "goes_by"), [("by needle", "needle"), ("by haystack", "haystack"), ("anew at each step", "rest"), ("a fixed list", "rest")]
)
def test_what_goes_by_neither_token_nor_step_has_its_own_share(name, goes_by):
    found, shares = measured(name)
    assert shares[goes_by].estimate > 0.75
    assert all(abs(shares[other].estimate) < 0.1 for other in ("token", "step"))
    assert abs(found.token_less_step.estimate) < 0.05


def test_everything_is_measured_on_one_world():
    small = Shape(n_layers=2, n_heads=6, n_steps=4, n_tokens=8)
    traces = simulate_permuted(FOLLOWED_WORLDS["by token"], 6, pieces=4, shape=small)
    calls = []
    found = follows([*traces, replace(traces[0], text="wrong")], most_modes=3, done=lambda: calls.append(1))
    assert (found.n_traces, found.n_right) == (len(traces) + 1, len(traces))
    assert found.deviance.alone["token"].low > 0.3 > found.deviance.alone["step"].high
    assert calls
    frame = found.to_frame()
    assert set(frame["measure"]) >= {"Jaccard", "share followed", "share of variance", "deviance explained"}
    assert frame[["low", "high"]].notna().all(axis=None)
    assert json.loads(json.dumps(found.as_json(), allow_nan=False))["answers"] == {"all": 49, "right": 48}
    again = simulate_permuted(FOLLOWED_WORLDS["by token"], 6, pieces=4, shape=small)
    gains = carried_over({"one": traces, "two": again}, most_modes=3)
    assert gains["one", "two"].estimate > 0
    assert set(gains) == {(one, two) for one in ("one", "two") for two in ("one", "two")}


def test_one_haystack_has_neither_haystack_nor_moment():
    steps = copied_steps(simulate_permuted(FOLLOWED_WORLDS["by token"], 4, haystacks=1))
    assert list(variance_factors(steps)) == ["token", "step", "needle"]
    shares = variance_shares(steps.sets, variance_factors(steps), steps.needle).shares
    assert shares["token"].estimate > 0.8


def test_the_plan_has_every_order_in_each_of_a_needle_s_own_haystacks():
    preset = Preset((128,), n_seeds=2, depths=(0.2, 0.8))
    units = follows_plan(Request(MODEL, Permuted(pieces=4)), preset, haystacks=3, orders=2).roles[ROLE]
    specs = [unit.sample for unit in units]
    needles = {spec["needle_seed"] for spec in specs}
    assert (len(specs), len(needles)) == (4 * 2 * 3, 4)
    for needle in needles:
        own = [spec for spec in specs if spec["needle_seed"] == needle]
        assert {(spec["order"], spec["seed"]) for spec in own} == {(order, spec["seed"]) for order in range(2) for spec in own}
        assert len({spec["depth"] for spec in own}) == 1
    assert len({spec["seed"] for spec in specs}) == 12
    plain = follows_plan(Request(MODEL, Niah()), preset, haystacks=2).roles[ROLE]
    assert len(plain) == 8
    with pytest.raises(InputError, match="have 4 orders, got 5"):
        follows_plan(Request(MODEL, Permuted(pieces=4)), preset, haystacks=1, orders=5)
    with pytest.raises(InputError, match="niah has no orders"):
        follows_plan(Request(MODEL, Niah()), preset, haystacks=1, orders=2)


def test_what_has_no_steps_to_compare_is_refused():
    traces = simulate_permuted(FOLLOWED_WORLDS["by token"], 4)
    with pytest.raises(InputError, match="none of 48 answers is right"):
        follows([replace(trace, text="no") for trace in traces])
    with pytest.raises(InputError, match="token for token"):
        copied_steps([replace(trace, tokens=trace.tokens + 100) for trace in traces])
    with pytest.raises(InputError, match="a trace of task niah"):
        copied_steps([replace(traces[0], task="niah")])
    assert np.all(copied_steps(traces).within == 0)
