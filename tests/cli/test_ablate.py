"""`mechdyn ablate` and the figure scripts: what they write, and bad input in one line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--model", "planted-dynamic", "--length", "128", "--depth", "0.5", "--runs", "1", "--condition", "dynamic", "--condition", "clean"]


def test_ablate_writes_figures_results_and_traces(run, tmp_path):
    code, out, err = run("ablate", *SMALL, "--out", "run")
    assert code == 0, err
    assert "dynamic: the step's retrieval heads" in out
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert [(row["condition"], row["commit"]) for row in results["conditions"]] == [
        ("clean", None),
        ("dynamic", "clean"),
        ("dynamic", "ablated"),
    ]
    page = (tmp_path / "run" / "ablation.html").read_text()
    assert "plotly" in page and "<script src=" not in page
    assert (tmp_path / "run" / "static_heads.json").exists()
    assert run("ablate", *SMALL, "--out", "run")[0] == 0


def test_ablate_takes_questions(run, tmp_path):
    """Figure 6: EM and F1 over lengths and places of the evidence."""
    arguments = ["--length", "256", "--runs", "1", "--condition", "dynamic", "--condition", "clean", "--out", "run"]
    code, out, err = run("ablate", "--task", "world", *arguments)
    assert code == 0, err
    assert "Ablation on mini, world" in out
    clean, *dynamic = json.loads((tmp_path / "run" / "results.json").read_text())["conditions"]
    assert [metric["name"] for metric in clean["metrics"]] == ["f1", "em"]
    assert clean["metrics"][1]["estimate"] > max(row["metrics"][1]["estimate"] for row in dynamic)
    assert sum(cell["n"] for cell in clean["cells"]) == 5 and {cell["length"] for cell in clean["cells"]} == {256}
    page = (tmp_path / "run" / "ablation.html").read_text()
    assert all(f"<h2>{metric}, commit clean: " in page for metric in ("em", "f1"))


BAD = {
    "depth of questions": (["--task", "world", "--depth", "0.5"], "task world has no use for --depth"),
    "no file": (["--task", "hotpotqa"], "task hotpotqa needs a file of questions .* --data FILE"),
    "unknown task": (["--task", "trivia"], "unknown task 'trivia'"),
    "unknown condition": (["--condition", "magic"], "conditions must be some of clean, dynamic, .*, got magic"),
    "unknown method": (["--method", "mask"], "ablation method must be one of zero, mean, resample, uniform, got 'mask'"),
    "unknown preset": (["--preset", "huge"], "unknown preset 'huge'"),
    "unknown model": (["--model", "minni"], "unknown model 'minni'"),
    "depth": (["--model", "planted-dynamic", "--depth", "1.5"], r"depth must lie in \[0, 1\], got 1\.5"),
    "length": (["--model", "planted-dynamic", "--length", "1000000"], "length 1000000 is beyond the model's context"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(run, tmp_path, case):
    arguments, message = BAD[case]
    code, out, err = run("ablate", *arguments)
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"error: .*{message}.*\n", err), err
    assert list(tmp_path.iterdir()) == []


def script(name, *arguments, folder):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    command = [sys.executable, "-m", f"experiments.{name}", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_figure_2_has_the_options_of_ablate(tmp_path):
    shown = script("figure_2_ablation_grid", "--help", folder=tmp_path)
    assert shown.returncode == 0
    assert all(option in shown.stdout for option in ("--preset", "--length", "--depth", "--runs", "--condition", "--method"))


QUESTIONS = ("figure_6_ablation_questions", "figure_7_progressive_questions", "figure_8_cca_questions", "table_3_regressor")


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_scripts_on_questions_ask_the_world_by_default(name, tmp_path):
    done = script(name, "--haystack", "h.txt", folder=tmp_path)
    assert (done.returncode, done.stderr.splitlines()[-1][:46]) == (2, "error: task world has no use for --haystack; l")


def test_figure_3_draws_what_it_measured(tmp_path):
    arguments = ["--model", "planted-dynamic", "--length", "128", "--runs", "1", "-k", "0", "-k", "4", "--out", "run"]
    done = script("figure_3_progressive", *arguments, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "paper, llama3.1-8b: compensated heads 4.5 to 7 for k >= 5; accuracy 1 at k = 0, 0 at k = 20" in done.stdout
    points = json.loads((tmp_path / "run" / "results.json").read_text())["points"]
    assert [(point["k"], point["metrics"][0]["estimate"]) for point in points] == [(0, 1.0), (4, 0.0)] * 2
    assert (tmp_path / "run" / "progressive.html").exists()


def test_figure_3_refuses_more_heads_than_there_are(tmp_path):
    done = script("figure_3_progressive", "--model", "planted-dynamic", "-k", "33", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "error: masked heads must lie between 0 and 32 (the heads of the model), got 33"
