"""`mechdyn rag`: what it writes and prints, and bad input in one line."""

import json

import pytest

from tests.cli.test_ablate import script

SMALL = ["--length", "200", "--questions", "2", "-k", "4", "--window", "8"]


def test_rag_writes_logs_results_and_a_page(run, tmp_path):
    chosen = ["--strategy", "oracle", "--strategy", "full-context", "--strategy", "fixed-random"]
    code, out, err = run("rag", *SMALL, *chosen, "--threshold", "0.5", "--out", "run")
    assert code == 0, err
    assert "oracle: the top heads by Eq. 2" in out
    assert (
        "verdict  inconclusive: dynamic and static are compared, and one of them was not run; registered before the first trace: yes, hash "
        in out
    )
    folder = tmp_path / "run"
    assert sorted(path.name for path in folder.glob("[!.]*")) == [
        "log.jsonl",
        "logs",
        "questions.jsonl",
        "rag.html",
        "results.json",
        "run.json",
        "verdict.html",
        "verdicts.json",
    ]
    results = json.loads((folder / "results.json").read_text())
    assert [row["condition"] for row in results["conditions"]] == ["oracle", "fixed-random", "full-context"]
    assert run("rag", *SMALL, *chosen, "--threshold", "0.5", "--out", "run")[:2] == (0, out), "run again, it reads what is there"


BAD = {
    "k of 0": (["-k", "0"], "k must be at least 1, got 0"),
    "unknown strategy": (["--strategy", "best"], "unknown RAG strategy 'best'"),
    "threshold below 0": (["--threshold", "-1"], "threshold must be 0 or more"),
    "window below 0": (["--window", "-3"], "window must be at least 0, got -3"),
    "needles": (["--task", "niah"], "take the task world or hotpotqa"),
    "no file": (["--task", "hotpotqa"], "--data FILE"),
    "no probe there": (["--probe", "nowhere"], "there is no probe in nowhere"),
    "mode": (["--mode", "cut"], "mode must be one of mask, text"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line(run, tmp_path, arguments, message):
    code, out, err = run("rag", *arguments, "--out", "run")
    assert code == 2 and out == ""
    assert err.startswith("error: ") and err.count("\n") == 1 and message in err
    assert not (tmp_path / "run").exists()


def test_questions_without_supporting_facts_are_refused(run, tmp_path):
    item = {"_id": "q", "question": "Who?", "answer": "Ann", "context": [["Ann", ["Ann is here."]]], "supporting_facts": []}
    (tmp_path / "file.json").write_text(json.dumps([item, item | {"_id": "r"}]))
    code, _, err = run("rag", "--task", "hotpotqa", "--data", "file.json", "--out", "run")
    assert code == 2 and "supporting_facts" in err and err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_table_4_asks_hotpotqa_by_default(tmp_path):
    done = script("table_4_dynamic_rag", folder=tmp_path)
    assert done.returncode == 2 and "task hotpotqa needs a file of questions" in done.stderr


def test_the_sweep_writes_a_table_and_a_figure(tmp_path):
    values = ["--threshold", "0.5", "-k", "4", "-k", "16", "--window", "8", "--strategy", "oracle"]
    done = script("rag_sweep", "--length", "200", "--questions", "2", *values, "--out", "run", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "oracle, threshold 0.5" in done.stdout and "oracle, k 16" in done.stdout
    assert (tmp_path / "run" / "sweep.html").exists()
    assert len(json.loads((tmp_path / "run" / "results.json").read_text())["conditions"]) == 4
