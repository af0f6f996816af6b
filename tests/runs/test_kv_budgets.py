"""`mechdyn improve kv-budgets` and `mechdyn verify step_budgets`, from a few samples to the report, and refused in one line."""

import json

import pytest

from mechdyn.heads import Head, rank_heads
from mechdyn.runs.read import read_run
from mechdyn.traces.store import TraceStore

TINY = ("--length", 150, "--depth", 0.5, "--runs", 2, "--texts", 1, "--text-length", 20, "--on", "niah", "--max-new-tokens", 6)
COMMAND = ("improve", "kv-budgets", "--source", "static", "--source", "echo", "--cache", 0.5)


def a_list(tmp_path, n_layers=5, n_heads=16):
    pairs = [(Head(layer, head), 1 / (1 + layer + head)) for layer in range(n_layers) for head in range(n_heads)]
    path = tmp_path / "list.json"
    rank_heads(pairs, n_layers, n_heads).save(path)
    return path


def test_a_list_is_taken_caches_are_evaluated_and_the_run_is_reported(run, tmp_path):
    code, out, error = run(*COMMAND, "--heads", a_list(tmp_path), *TINY, "--out", "kv")
    assert code == 0, error
    found = json.loads((tmp_path / "kv" / "results.json").read_text())
    assert found["variants"] == ["static 50 %", "echo 50 %"] and found["about"]["beta"] == 1.5
    assert "Drift" in out and not (tmp_path / "kv" / "traces").exists()
    assert run("report", "kv", "--out", "page.html")[0] == 0
    assert read_run(tmp_path / "kv").content.found.about["list"].endswith("list.json")
    code, _, error = run(*COMMAND, "--heads", a_list(tmp_path), *TINY, "--beta", 2, "--out", "kv")
    assert code == 2 and "belongs to another run" in error and error.count("\n") == 1


@pytest.mark.parametrize(("options", "said"), [
    (("--source", "snapkv"), "one of uniform, random, static, oracle"),
    (("--source", "sample"), "got 'sample'"),
    (("--cache", 0), "above 0 and at most 1"),
    (("--cache", 7), "got 7.0"),
    (("--per", "layer"), "query head"),
    (("--beta", 0.5, "--source", "uniform"), "β must be"),
    (("--kernel", 4, "--source", "uniform"), "odd"),
    (("--heads", "L1H2"), "a file of a whole ranking"),
    (("--workers", 2), "one process"),
])  # fmt: skip
def test_what_cannot_be_is_one_line_and_nothing_is_written(run, tmp_path, options, said):
    code, _, error = run("improve", "kv-budgets", *options, *TINY, "--out", "kv")
    assert code == 2 and said in error and error.count("\n") == 1 and error.startswith("error: ")
    assert not (tmp_path / "kv").exists()


def test_a_list_of_another_model_is_refused_before_anything_is_written(run, tmp_path):
    code, _, error = run(*COMMAND, "--heads", a_list(tmp_path, 32, 32), *TINY, "--out", "kv")
    assert code == 2 and "take heads of this model" in error and not (tmp_path / "kv").exists()


def test_the_claim_runs_from_units_to_the_verdict_and_is_judged_again_from_the_store(run, tmp_path):
    code, out, error = run("verify", "step_budgets", "--length", 150, "--depth", 0.5, "--runs", 3, "--out", "v")
    assert code == 0, error
    assert "inconclusive" in out
    traces = list(TraceStore.open(tmp_path / "v" / "traces").traces())
    measured = [trace for trace in traces if trace.budgets is not None]
    assert len(measured) == 3 and len(traces) == 6
    for trace in measured:
        assert len(trace.budgets.caches) == len(trace.budgets.log_p) == len(trace.budgets.held)
        assert (trace.budgets.held >= trace.budgets.seen - 1e-4).all()
    code, again, _ = run("verify", "--from", "v")
    assert code == 0 and "inconclusive" in again
