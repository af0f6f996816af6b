"""Plans unfold: a role that depends on what came out is run once it can be named."""

import dataclasses

import pytest

from mechdyn.models.load import wrap_model
from mechdyn.plans import Plan
from mechdyn.runs.stages import run_stages
from mechdyn.runs.stores import open_store
from mechdyn.traces.unit import Unit
from tests.architectures import tiny_model
from tests.bundled import mini_tokenizer


@pytest.fixture(scope="module")
def model():
    wrapped = wrap_model(tiny_model("llama3.2", seed=1), mini_tokenizer(), name="tiny")
    return dataclasses.replace(wrapped, eos_ids=())


def unit(model, seed, n_new=2):
    sample = {"task": "niah", "length": 128, "depth": 0.5, "seed": seed}
    return Unit(model.identity(), sample, {"score": "copy_paste", "max_new_tokens": n_new})


def test_roles_are_run_as_they_come_to_be_named(model, tmp_path):
    shown = []

    def plan(traces):
        shown.append({name: [found.unit for found in row] for name, row in traces.items()})
        roles = {"first": (unit(model, 1), unit(model, 0))}
        if "first" in traces:
            roles["second"] = (unit(model, 1, n_new=traces["first"][0].n_steps + 1),)
        return Plan(roles)

    store = open_store(tmp_path / "traces", model)
    traces = run_stages(plan, model, store)
    first = [unit(model, 1).key, unit(model, 0).key]
    second = [unit(model, 1, n_new=3).key]
    assert shown == [{}, {"first": first}, {"first": first, "second": second}]
    assert {name: [found.unit for found in row] for name, row in traces.items()} == {"first": first, "second": second}
    assert traces["second"][0].n_steps == 3
    before = store.n_traces
    run_stages(plan, model, store)
    assert store.n_traces == before == 3


def test_roles_that_share_units_run_them_once(model, tmp_path):
    store = open_store(tmp_path / "traces", model)
    traces = run_stages(lambda _: Plan({"a": (unit(model, 0),), "b": (unit(model, 0),)}), model, store)
    assert store.n_traces == 1
    assert traces["a"][0].unit == traces["b"][0].unit
