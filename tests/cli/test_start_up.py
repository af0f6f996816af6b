"""What a command imports: torch where tensors are worked on, transformers and TransformerLens where a model runs, nothing of it else."""

import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mechdyn.cli import app, run_command
from mechdyn.heads import Head, RankedHeads

ROOT = str(Path(__file__).resolve().parents[2])
MODEL_CODE = ("transformers", "transformer_lens", "IPython")
TORCH = ("torch", "sklearn", *MODEL_CODE)
SAID = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps([name for name in %r if name in sys.modules]), file=sys.stderr))
sys.argv[0] = "mechdyn"
from mechdyn.cli import main
main()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A list of heads, a trace's run twice, a verdict's run, and the verdict with its registration taken away."""
    where = tmp_path_factory.mktemp("start_up")
    ranked = RankedHeads(tuple(Head(layer, head) for layer in range(2) for head in range(3)), tuple(0.6 - 0.1 * i for i in range(6)))
    ranked.fit(2, 3).save(where / "heads.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(where)
        patch.setattr("sys.argv", ["mechdyn", "trace", "--length", "128", "--no-show", "--out", "run"])
        run_command(app)
        shutil.copytree(where / "run", where / "again")
        patch.setattr("sys.argv", ["mechdyn", "verify", "dynamism", "--model", "planted-static", "--length", "128", "--out", "verdict"])
        run_command(app)
    shutil.copytree(where / "verdict", where / "unregistered")
    record = json.loads((where / "unregistered" / "run.json").read_text())
    (where / "unregistered" / "run.json").write_text(json.dumps({**record, "registered": None}))
    (where / "unregistered" / ".seals.json").unlink()
    return where


def imported_by(folder, arguments, of):
    """Which of the packages a process of its own imported by a command line, and what it printed."""
    command = [sys.executable, "-c", SAID % (of,), *arguments]
    result = subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": ROOT}, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stderr.splitlines()[-1]), result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["-h"],
        ["--version"],
        ["trace", "-h"],
        ["models"],
        ["heads", "show", "heads.json"],
        ["heads", "convert", "heads.json", "heads.tsv", "--format", "duoattention:query_heads=3"],
        ["heads", "compare", "one=heads.json", "two=heads.json", "--k", "3"],
        ["status", "run"],
        ["report", "run"],
        ["report", "verdict"],
        ["report", "verdict", "run", "--as-recorded", "--out", "page"],
        ["merge", "both", "run", "again"],
        ["explore", "run", "--list"],
        ["trace", "--length", "128", "--no-show", "--out", "run"],
    ],
    ids=" ".join,
)
def test_no_torch_where_no_tensor_is_worked_on(folder, arguments):
    imported, out = imported_by(folder, arguments, TORCH)
    assert imported == [] and out


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "verdict", "--again"],
        ["report", "unregistered"],
    ],
    ids=" ".join,
)
def test_no_model_code_where_no_model_runs(folder, arguments):
    imported, out = imported_by(folder, arguments, MODEL_CODE)
    assert imported == [] and out


def test_the_package_is_run_as_a_module(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["mechdyn", "--version"])
    runpy.run_module("mechdyn", run_name="__main__")
    assert capsys.readouterr().out.startswith("mechdyn ")


@pytest.mark.parametrize(
    ("started", "again"), [("/usr/bin/mechdyn", "mechdyn"), ("/lib/mechdyn/__main__.py", "python -m mechdyn")], ids=["script", "module"]
)
def test_what_is_stopped_says_how_it_goes_on(monkeypatch, capsys, started, again):
    def command(*, standalone_mode):
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.argv", [started, "trace", "--needle", "two words"])
    with pytest.raises(SystemExit) as stop:
        run_command(command)
    assert stop.value.code == 130 and capsys.readouterr().err.endswith(f": {again} trace --needle 'two words'\n")
