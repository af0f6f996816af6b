"""Units run in batches give what each would give alone, once, under its own key; failures are stored and the run goes on."""

import dataclasses
import logging

import pytest
import torch

from mechdyn.decoding.ablation import ablation_from_json
from mechdyn.decoding.engines import make_engine
from mechdyn.decoding.trace import trace, trace_conditions
from mechdyn.errors import InputError, OutOfMemoryError, RunError
from mechdyn.models.load import wrap_model
from mechdyn.runs import units as running
from mechdyn.runs import worker
from mechdyn.runs.executors import HereExecutor
from mechdyn.runs.run_log import RunLog, read_log
from mechdyn.runs.session import open_store
from mechdyn.runs.worker import Worker
from mechdyn.tasks.task import build_sample
from mechdyn.traces.unit import Unit
from tests.architectures import tiny_model
from tests.bundled import mini_tokenizer

DYNAMIC = {"schedule": {"kind": "dynamic", "top_k": None}, "method": "zero", "scope": "position", "commit": "clean"}
RANDOM = {"schedule": {"kind": "random", "k": 4, "seed": 1, "fresh": True, "matched": None}, "commit": "ablated"}
ABLATIONS = ({}, DYNAMIC, RANDOM, {**RANDOM, "commit": "clean"})
N_NEW = 5


def run_units(model, units, store, **options):
    return running.run_units(HereExecutor(Worker(model, make_engine(model))), units, store, **options)


def wrapped(plain):
    return dataclasses.replace(wrap_model(plain, mini_tokenizer(), name="tiny", revision="1"), eos_ids=())


@pytest.fixture(scope="module")
def model():
    return wrapped(tiny_model("llama3.1", seed=7, few_words=True))


def unit(model, seed, ablation, length=128):
    sample = {"task": "niah", "length": length, "depth": 0.5, "seed": seed}
    return Unit(model.identity(), sample, {"score": "copy_paste", "max_new_tokens": N_NEW}, ablation)


@pytest.fixture(scope="module")
def units(model):
    return [unit(model, seed, ablation, length) for seed, length in ((0, 128), (1, 160), (2, 128)) for ablation in ABLATIONS]


@pytest.fixture
def store(model, tmp_path):
    return open_store(tmp_path / "traces", model)


@pytest.fixture
def ran(monkeypatch):
    """How many samples and conditions each batch had."""
    batches = []

    def counted(model, samples, conditions, **options):
        batches.append((len(samples), len(conditions)))
        return trace_conditions(model, samples, conditions, **options)

    monkeypatch.setattr(worker, "trace_conditions", counted)
    return batches


def by_unit(store):
    return {found.unit: (found.tokens.tolist(), found.retrieval_scores) for found in store.traces()}


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_every_unit_gets_the_trace_it_would_have_alone(model, units, store, ran, batch_size):
    assert run_units(model, units, store, batch_size=batch_size) == 0
    assert {conditions for _, conditions in ran} == {len(ABLATIONS)}
    assert max(samples for samples, _ in ran) == min(batch_size, 3)
    for each in units:
        ablation = ablation_from_json(each.ablation, model.n_layers, model.n_heads)
        alone = trace(model, build_sample(model, each.sample), ablate=ablation, max_new_tokens=N_NEW)
        (found,) = store.load([each.key])
        assert found.unit == each.key and found.sample == alone.sample
        assert found.tokens.tolist() == alone.tokens.tolist()
        assert torch.equal(found.retrieval_scores, alone.retrieval_scores)
        assert (found.ablated is None) == (not each.ablation)
        if found.ablated is not None:
            assert torch.equal(found.ablated, alone.ablated) and torch.equal(found.ablated_scores, alone.ablated_scores)


def test_what_the_store_holds_is_not_run_again(model, units, store, ran):
    run_units(model, units[:8], store, batch_size=1)
    ran.clear()
    run_units(model, units, store, batch_size=1)
    assert ran == [(1, len(ABLATIONS))]
    ran.clear()
    run_units(model, [*units, *units], store, batch_size=1)
    assert ran == []
    assert store.n_traces == len(units)


def test_batches_are_those_of_the_plan_whatever_is_there_already(model, units, tmp_path, ran):
    """So that every row is computed in a batch of the same shape, and is the same to the last bit."""
    whole, resumed = (open_store(tmp_path / name, model) for name in ("whole", "resumed"))
    run_units(model, units, whole)
    resumed.append(whole.load([each.key for each in (units[1], units[8])]))
    ran.clear()
    run_units(model, units, resumed)
    assert ran == [(3, len(ABLATIONS))]
    expected = {found.unit: found for found in whole.traces()}
    assert resumed.keys() == expected.keys()
    for found in resumed.traces():
        assert torch.equal(found.hidden, expected[found.unit].hidden)


def test_a_killed_run_goes_on_where_it_stopped(model, units, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "PART", 1)
    killed, whole = (open_store(tmp_path / name, model) for name in ("killed", "whole"))
    batches = []

    def dies_at_the_second(model, samples, conditions, **options):
        batches.append(len(samples))
        if len(batches) == 2:
            raise KeyboardInterrupt
        return trace_conditions(model, samples, conditions, **options)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(worker, "trace_conditions", dies_at_the_second)
        run_units(model, units, killed, batch_size=1)
    assert killed.n_traces == len(ABLATIONS)
    run_units(model, units, killed, batch_size=1)
    run_units(model, units, whole, batch_size=1)
    resumed, expected = by_unit(killed), by_unit(whole)
    assert resumed.keys() == expected.keys()
    assert all(resumed[key][0] == expected[key][0] and torch.equal(resumed[key][1], expected[key][1]) for key in expected)


def test_where_memory_runs_out_smaller_batches_give_the_same(model, units, tmp_path, monkeypatch, caplog):
    small, whole = (open_store(tmp_path / name, model) for name in ("small", "whole"))
    run_units(model, units, whole)

    def holds_one(model, samples, conditions, **options):
        if len(samples) > 1:
            raise OutOfMemoryError(f"{len(samples)} prompts are too many")
        return trace_conditions(model, samples, conditions, **options)

    monkeypatch.setattr(worker, "trace_conditions", holds_one)
    with caplog.at_level(logging.WARNING):
        assert run_units(model, units, small) == 0
    assert caplog.messages == ["3 prompts are too many; going on with 1 at a time"]
    found, expected = by_unit(small), by_unit(whole)
    assert all(found[key][0] == expected[key][0] and torch.equal(found[key][1], expected[key][1]) for key in expected)


def test_a_sample_that_memory_never_holds_is_set_aside_and_the_others_are_run(model, units, store, monkeypatch, capsys):
    def holds_short_ones(model, samples, conditions, **options):
        if max(map(len, samples)) > 140:
            raise OutOfMemoryError("a prompt of 160 tokens is too long")
        return trace_conditions(model, samples, conditions, **options)

    monkeypatch.setattr(worker, "trace_conditions", holds_short_ones)
    log = RunLog()
    run_units(model, units, store, batch_size=2, log=log)
    assert store.keys() == {each.key for each in units if each.sample["length"] == 128}
    assert log.set_aside.keys() == {each.key for each in units if each.sample["length"] == 160}
    assert {failure.kind for failure in log.set_aside.values()} == {"OutOfMemoryError"}
    lines = capsys.readouterr().err.splitlines()
    assert sum("failed 3 of 3 times, niah, length 160, depth 0.5, seed 1: OutOfMemoryError: a prompt" in line for line in lines) == 4


def failing_for(monkeypatch, keys, times=99):
    """The samples of these lengths raise, so often."""
    left = dict.fromkeys(keys, times)

    def fails(model, samples, conditions, **options):
        for length in map(len, samples):
            if left.get(length, 0):
                left[length] -= 1
                raise ZeroDivisionError("by a score of the user's")
        return trace_conditions(model, samples, conditions, **options)

    monkeypatch.setattr(worker, "trace_conditions", fails)


def test_a_unit_that_fails_is_noted_with_its_traceback_and_tried_again(model, units, tmp_path, monkeypatch, capsys):
    store, log = open_store(tmp_path / "traces", model), RunLog(tmp_path / "log.jsonl")
    plain = [each for each in units if not each.ablation]
    (long,) = [len(build_sample(model, each.sample)) for each in plain if each.sample["length"] == 160]
    failing_for(monkeypatch, [long], times=2)
    run_units(model, plain, store, log=log)
    assert store.n_traces == len(plain) and not log.set_aside
    failures = [event for event in read_log(tmp_path / "log.jsonl") if event["event"] == "failure"]
    assert [(event["times"], event["kind"], event["about"]) for event in failures] == [
        (1, "ZeroDivisionError", "niah, length 160, depth 0.5, seed 1")
    ]
    assert "trace_conditions" in failures[0]["traceback"] and "by a score of the user's" in failures[0]["traceback"]
    assert "failed 1 of 3 times, niah, length 160" in capsys.readouterr().err


def test_what_is_set_aside_is_not_run_again_until_it_is_asked_for(model, units, tmp_path, monkeypatch, ran):
    store, path = open_store(tmp_path / "traces", model), tmp_path / "log.jsonl"
    plain = [each for each in units if not each.ablation]
    (long,) = [len(build_sample(model, each.sample)) for each in plain if each.sample["length"] == 160]
    with monkeypatch.context() as patched:
        failing_for(patched, [long])
        run_units(model, plain, store, log=RunLog(path))
    assert store.n_traces == len(plain) - 1
    ran.clear()
    run_units(model, plain, store, log=RunLog(path))
    assert ran == []
    again = RunLog(path)
    again.write("retry", units=1)
    run_units(model, plain, store, log=RunLog(path))
    assert store.n_traces == len(plain)


def test_fail_fast_raises_the_first_failure_and_keeps_what_was_done(model, units, store, monkeypatch):
    plain = [each for each in units if not each.ablation]
    (long,) = [len(build_sample(model, each.sample)) for each in plain if each.sample["length"] == 160]
    failing_for(monkeypatch, [long])
    with pytest.raises(RunError, match=r"niah, length 160, depth 0\.5, seed 1: ZeroDivisionError: by a score of the user's"):
        run_units(model, plain, store, batch_size=1, fail_fast=True)
    assert store.n_traces == 2


def test_where_every_unit_fails_the_run_stops(model, units, store, monkeypatch):
    failing_for(monkeypatch, range(1000))
    with pytest.raises(RunError, match="ZeroDivisionError"):
        run_units(model, units, store)
    assert store.n_traces == 0


def test_logits_that_are_not_finite_stop_one_sample_only(tmp_path, caplog):
    healthy = tiny_model("llama3.1", seed=7, few_words=True)
    model = wrapped(healthy)
    units = [unit(model, seed, ablation) for seed in (0, 1) for ablation in ABLATIONS]
    poisoned, other = (set(build_sample(model, {**units[0].sample, "seed": seed}).tokens.tolist()) for seed in (0, 1))
    with torch.no_grad():
        healthy.get_input_embeddings().weight[min(poisoned - other)] = float("nan")
    store = open_store(tmp_path / "traces", model)
    with caplog.at_level(logging.WARNING):
        assert run_units(model, units, store) == len(ABLATIONS)
    assert "4 of 8 generations met NaN or infinite logits" in caplog.text
    traces = store.load([each.key for each in units])
    assert [found.meta.get("error") for found in traces[:: len(ABLATIONS)]] == ["NumericalError: NaN or infinite logits at step 0", None]
    stopped = [found.stopped for found in traces]
    assert stopped == ["error"] * len(ABLATIONS) + ["length"] * len(ABLATIONS)
    assert run_units(model, units, store) == 0


def test_a_unit_of_another_model_is_refused(model, store):
    other = unit(dataclasses.replace(model, revision="2"), 0, {})
    with pytest.raises(InputError, match=r"a unit names the model 'tiny' \(revision '2'\), this is 'tiny' \('1'\)"):
        run_units(model, [other], store)
    assert store.n_traces == 0


BAD = {
    "static list of a larger model": (
        {"schedule": {"kind": "static", "heads": ["L30H2"]}},
        "head L30H2 is outside a model of 3 layers x 8 heads",
    ),
    "k above the heads": ({"schedule": {"kind": "random", "k": 25}}, r"k must lie between 0 and 24 \(the heads of the model\), got 25"),
    "no reference": ({**DYNAMIC, "method": "mean", "reference": "0" * 16, "seed": 0}, "mean ablation needs reference activations"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_ablation_is_one_line_and_stores_nothing(model, store, case):
    ablation, message = BAD[case]
    with pytest.raises(InputError, match=message):
        run_units(model, [unit(model, 0, ablation)], store)
    assert store.n_traces == 0
