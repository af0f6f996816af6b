"""The command line: what it writes, and one clear line with exit code 2 for bad input, never a traceback or half a result."""

import json
import re

import pytest

QUICK = ["--length", "128"]


@pytest.fixture
def files(tmp_path):
    """Haystacks that no needle can go into, and a path that no folder can be made at."""
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "binary.txt").write_bytes(b"One.\x00Two.")
    (tmp_path / "latin.txt").write_bytes("Fünf. Zwölf.".encode("latin-1"))
    (tmp_path / "blocked").write_text("a file")
    return tmp_path


BAD = {
    "unknown model": (["trace", "--model", "minni"], r"unknown model 'minni'"),
    "unknown claim": (["verify", "dynamics"], r"unknown claim 'dynamics'.*dynamism"),
    "unknown preset": (["verify", "dynamism", "--preset", "huge"], r"unknown preset 'huge'"),
    "unknown task": (["verify", "dynamism", "--task", "trivia"], r"unknown task 'trivia'; give one of citations, .*, world"),
    "no questions": (["verify", "dynamism", "--task", "hotpotqa"], r"task hotpotqa needs a file of questions .* --data FILE"),
    "bad questions": (["verify", "dynamism", "--task", "hotpotqa", "--data", "latin.txt"], r"questions latin\.txt are not JSON"),
    "style of needles": (["verify", "dynamism", "--style", "direct"], r"task niah has no use for --style"),
    "beyond the context": (["trace", "--length", "100000"], r"length 100000 is beyond the model's context of \d+"),
    "beyond the context, verify": (["verify", "dynamism", "--length", "100000"], r"length 100000 is beyond the model's context"),
    "needle longer than the length": (["trace", "--length", "30"], r"length 30 cannot hold the needle"),
    "depth above 1": (["trace", "--depth", "1.5"], r"depth must lie in \[0, 1\], got 1\.5"),
    "depth below 0": (["trace", "--depth=-0.1"], r"depth must lie in \[0, 1\], got -0\.1"),
    "empty haystack": (["trace", "--haystack", "empty.txt"], r"haystack empty\.txt is empty"),
    "binary haystack": (["trace", "--haystack", "binary.txt"], r"haystack binary\.txt is binary"),
    "not UTF-8": (["trace", "--haystack", "latin.txt"], r"haystack latin\.txt is not UTF-8"),
    "no haystack": (["verify", "dynamism", "--haystack", "nowhere.txt"], r"haystack nowhere\.txt cannot be read"),
    "no number": (["trace", "--length", "abc"], r"Invalid value for '--length': .*; see mechdyn trace --help"),
    "unknown command": (["trce"], r"No such command 'trce'"),
    "unknown option": (["trace", "--lenght", "3"], r"No such option: --lenght .*--length"),
    "no claim": (["verify"], r"Missing argument 'claim'"),
    "runs without end": (["ablate", "--runs", "1000000000"], r"'--runs': Input should be less than or equal to 10000"),
    "questions without end": (["rag", "--questions", "100000000"], r"'--questions': Input should be less than or equal to 10000"),
    "batch without end": (["trace", "--batch-size", "1" * 20], r"'--batch-size': Input should be less than or equal to 100000"),
    "threshold that is none": (["trace", "--threshold", "nan"], r"threshold must be a finite number, got nan"),
    "a file called 3": (["trace", "--task", "niah:haystack=3"], r"haystack 3 cannot be read"),
    "long folder": (["report", "x" * 5000], r"File name too long"),
    "long model": (["trace", "--model", "x" * 5000], r"(File name too long|unknown model)"),
    "needle of a world": (["trace", "--task", "world", "--needle", "x"], r"task world has no use for --needle"),
    "blank needle": (["trace", "--needle", " "], r"needle"),
    "unwritable folder": (["trace", "--out", "blocked/run"], r"output folder blocked/run cannot be written"),
    "folder of something else": (["trace", "--out", "."], r"exists and is not the folder of a run"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(run, files, case):
    arguments, message = BAD[case]
    before = sorted(files.iterdir())
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert re.fullmatch(rf"error: .*{message}.*\n", err), err
    assert sorted(files.iterdir()) == before


def test_trace_writes_a_store_and_a_page_and_goes_on(run, tmp_path):
    code, out, _ = run("trace", *QUICK, "--out", "one")
    assert code == 0
    assert "answer" in out
    page = (tmp_path / "one" / "timeline.html").read_text()
    assert "plotly" in page and "<script src=" not in page
    assert run("trace", *QUICK, "--out", "one")[0] == 0


def test_a_needle_of_ones_own_is_traced(run, tmp_path):
    own = ["--needle", "The magic word is 48213.", "--question", "What is the magic word?"]
    code, out, err = run("trace", *QUICK, *own, "--no-show", "--out", "own")
    assert code == 0, err
    assert "expected The magic word is 48213.\n" in out
    asked = json.loads((tmp_path / "own" / "run.json").read_text())["asked"]
    assert (asked["needle"], asked["question"]) == (own[1], own[3])


def test_the_folder_of_another_run_is_left_alone(run, tmp_path):
    run("trace", *QUICK, "--out", "one")
    before = {path: path.read_bytes() for path in (tmp_path / "one").rglob("*") if path.is_file()}
    code, _, err = run("trace", *QUICK, "--seed", "5", "--out", "one")
    assert code == 2
    assert re.search(r"belongs to another run: its seed is 0, this run's is 5", err)
    assert before == {path: path.read_bytes() for path in (tmp_path / "one").rglob("*") if path.is_file()}


def test_a_run_goes_on_with_another_batch_size(run):
    assert run("verify", "dynamism", "--model", "planted-static", *QUICK, "--out", "run")[0] == 0
    assert run("verify", "dynamism", "--model", "planted-static", *QUICK, "--out", "run", "--batch-size", "3")[0] == 0


def test_verify_writes_verdicts_that_hold_together(run, tmp_path):
    code, out, _ = run("verify", "dynamism", "--model", "planted-dynamic", *QUICK, "--out", "run")
    assert code == 0
    (verdict,) = json.loads((tmp_path / "run" / "verdicts.json").read_text())
    assert verdict["model"] == "planted-dynamic" and verdict["claim"] == "dynamism"
    assert verdict["verdict"] == "supported" and "dynamism on planted-dynamic: supported" in out
    for row in verdict["evidence"]:
        assert row["n"] > 0 and row["low"] <= row["estimate"] <= row["high"], row
    assert (tmp_path / "run" / "timeline.html").exists()


def test_verify_on_questions_tells_what_became_of_each_fact(run, tmp_path):
    code, out, _ = run("verify", "dynamism", "--task", "world", "--length", "256", "--runs", "1", "--out", "run")
    assert code == 0
    assert re.search(r"Supporting facts, mini on world, no head off", out) and "facts    run/facts.html" in out
    assert [len(question["facts"]) for question in json.loads((tmp_path / "run" / "facts.json").read_text())["questions"]] == [2] * 5
    assert "Groups of questions" in (tmp_path / "run" / "facts.html").read_text()
    assert run("report", "run")[0] == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Supporting facts: mini, world" in page and "Supporting facts on mini, world, no head off" in page


def test_models_lists_what_can_be_loaded(run):
    code, out, _ = run("models")
    assert code == 0
    assert all(name in out for name in ("mini", "planted-static", "planted-dynamic", "llama3.1-8b", "microsoft/Phi-4-mini-instruct"))
