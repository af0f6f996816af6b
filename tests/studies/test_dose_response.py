"""Dose-response and lagged effect are means over steps and samples of what was measured, computed again here by loops."""

import dataclasses
import math

import numpy as np
import pytest

from mechdyn.contrasts import NEITHER, OWN, STATIC
from mechdyn.decoding.engines import make_engine
from mechdyn.decoding.trace import trace
from mechdyn.errors import InputError
from mechdyn.models.load import load_model
from mechdyn.plans import Preset, Request
from mechdyn.runs.executors import HereExecutor
from mechdyn.runs.session import open_store
from mechdyn.runs.units import run_units
from mechdyn.runs.worker import Worker
from mechdyn.stats.overlap import static_ranking
from mechdyn.studies.dose_response import coincidence, dose_response, dose_units
from mechdyn.studies.effect_worlds import WORLDS, simulate_doses
from mechdyn.studies.lagged_effect import lagged_effect, lagged_units
from mechdyn.tasks.niah import Niah, niah
from tests.studies.made_up import made_up

PRESET = Preset((128,), n_seeds=2, depths=(0.2, 0.8))


def here(model):
    """This process as the only worker."""
    return HereExecutor(Worker(model, make_engine(model, "auto")))


@pytest.fixture(scope="module")
def model():
    return load_model("planted-dynamic")


@pytest.fixture(scope="module")
def ranking(model):
    return static_ranking([trace(model, niah(model, length=128, depth=0.5, seed=seed)) for seed in range(50, 53)])


@pytest.fixture(scope="module")
def request_(model):
    return Request(model.identity(), Niah())


@pytest.fixture(scope="module")
def measured(model, ranking, request_, tmp_path_factory):
    """Stored traces with both kinds of effects; a second run finds all of them there."""
    store = open_store(tmp_path_factory.mktemp("effects") / "traces", model)
    units = {"dose": dose_units(request_, PRESET, ranking), "lagged": lagged_units(request_, PRESET, lags=2)}
    for each in units.values():
        run_units(here(model), each, store, batch_size=2)
    n_parts = len(list((store_path(store) / "parts").iterdir()))
    for each in units.values():
        run_units(here(model), each, store)
    assert len(list((store_path(store) / "parts").iterdir())) == n_parts
    return {name: store.load([unit.key for unit in each]) for name, each in units.items()}


def store_path(store):
    from pathlib import Path

    return Path(str(store.url).removeprefix("file://"))


def test_the_clean_answer_is_that_of_a_plain_trace(model, measured):
    for found in (*measured["dose"], *measured["lagged"]):
        plain = trace(model, niah(model, length=128, depth=found.meta["depth"], seed=found.meta["seed"]))
        assert found.text == plain.text and found.active.equal(plain.active)
        assert found.effect.heads[found.effect.place("active")].equal(plain.active)


def test_doses_are_means_by_loops(measured):
    traces = measured["dose"]
    doses = dose_response(traces)
    assert doses and [dose.k for dose in doses] == sorted(dose.k for dose in doses)
    for dose in doses:
        by_sample = []
        for found in traces:
            frame = found.effect.to_frame()
            frame = frame[frame.lag == 0].set_index(["set", "step"])
            steps = [step for step in range(found.n_steps) if frame.loc[(f"{OWN} {dose.k}", step)].heads_off]
            if not steps:
                continue
            own, static = (np.mean([frame.loc[(f"{name} {dose.k}", step)].delta for step in steps]) for name in (OWN, STATIC))
            draws = [frame.loc[(f"{NEITHER} {dose.k} #{draw}", step)] for step in steps for draw in range(10)]
            assert all(row.heads_off == dose.k for row in draws)
            active = np.mean([frame.loc[("active", step)].delta for step in steps])
            by_sample.append((own, static, np.mean([row.delta for row in draws]), active))
        means = np.mean(by_sample, axis=0)
        for name, mean in zip((OWN, STATIC, NEITHER, "active"), means, strict=True):
            assert dose.means[name].estimate == pytest.approx(mean, abs=1e-5) and dose.means[name].n == len(by_sample)
        assert dose.above[STATIC].estimate == pytest.approx(means[0] - means[1], abs=1e-5)
        assert dose.above[NEITHER].estimate == pytest.approx(means[0] - means[2], abs=1e-5)


def test_copies_of_answers_to_one_needle_tell_nothing_new(measured, ranking):
    """Traces of the same samples share their needles, so intervals and sign flips of copies are those of one of each."""
    once, copies = dose_response(measured["dose"]), dose_response([*measured["dose"]] * 3)
    for one, three in zip(once, copies, strict=True):
        for name in (STATIC, NEITHER):
            assert (three.above[name].low, three.above[name].high) == pytest.approx((one.above[name].low, one.above[name].high))
            assert three.flips[name] == one.flips[name]
    assert "cluster BCa bootstrap" in {mean.method for dose in copies for mean in dose.means.values()}
    one, three = (coincidence(traces, ranking).jaccard for traces in (measured["dose"], [*measured["dose"]] * 3))
    assert (three.low, three.high) == pytest.approx((one.low, one.high))
    for one, three in zip(lagged_effect(measured["lagged"]), lagged_effect([*measured["lagged"]] * 3), strict=True):
        assert (three.active.low, three.above.high) == pytest.approx((one.active.low, one.above.high))


def test_coincidence_is_by_loops(measured, ranking):
    sums, n_steps, n_different = 0.0, 0, 0
    for found in measured["dose"]:
        for step in range(found.n_steps):
            own = set(found.heads(step))
            if own:
                listed = set(ranking.heads[: len(own)])
                sums, n_steps = sums + len(own & listed) / len(own | listed), n_steps + 1
                n_different += bool(own - listed) and bool(listed - own)
    found = coincidence(measured["dose"], ranking)
    assert (found.n_steps, found.n_different) == (n_steps, n_different)
    assert found.jaccard.estimate == pytest.approx(sums / n_steps)


def test_lagged_effects_are_means_by_loops_and_the_step_itself_is_the_largest(measured):
    found = lagged_effect(measured["lagged"])
    assert [each.lag for each in found] == [0, 1, 2]
    for each in found:
        values = []
        for one in measured["lagged"]:
            frame = one.effect.to_frame()
            frame = frame[(frame.lag == each.lag) & (frame.set == "active") & (frame.heads_off > 0)]
            values.append(frame.delta.mean())
        assert each.active.estimate == pytest.approx(np.nanmean(values), abs=1e-5)
        assert each.above.estimate == pytest.approx(each.active.estimate - each.others.estimate, abs=1e-5)
    assert found[0].active.estimate > 1.0 and abs(found[0].others.estimate) < 0.1


def test_traces_without_effects_are_refused():
    with pytest.raises(InputError, match="no contrasts were measured along the answer of sample 3"):
        dose_response([made_up(3)])
    with pytest.raises(InputError, match="no lagged effect was measured along the answer of sample 3"):
        lagged_effect([made_up(3)])


def test_no_sample_gives_no_dose_and_no_number():
    assert dose_response([]) == () and lagged_effect([]) == ()


def test_an_effect_unit_with_an_ablation_is_refused(model, request_, ranking, tmp_path):
    (unit, *_) = dose_units(request_, PRESET, ranking)
    bad = dataclasses.replace(unit, ablation={"schedule": {"kind": "dynamic", "top_k": None}})
    with pytest.raises(InputError, match="a unit asks for an ablation too; make two of it"):
        run_units(here(model), [bad], open_store(tmp_path / "traces", model))


def test_simulated_effects_have_the_means_of_their_world():
    rng = np.random.default_rng(1)
    for world in WORLDS:
        doses = simulate_doses(world, 2000, rng)
        assert set(doses) == {1, 2, 4, 8} and len(doses[1]) > len(doses[8])
        for name in (OWN, STATIC, "active"):
            values = np.array([sample.values[name] for sample in doses[2]])
            share = world.share if name == OWN else 1.0
            expected = world.mean(name) * share * (1 if name == "active" else 2)
            assert abs(values.mean() - expected) < 5 * values.std() / math.sqrt(len(values))
