"""Another package adds a task, a score, a claim, a schedule, a RAG strategy and a head-file format, a file each, and mechdyn takes them.

The package lies in `tests/plugin` with its entry points, and is put on the path of a process of its own; no line of mechdyn knows it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = ROOT / "tests" / "plugin"
RUN = """
import contextlib, io, json, sys
from mechdyn.cli import main
results = []
for words in json.load(sys.stdin):
    sys.argv = ["mechdyn", *words]
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
    results.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(results))
"""
COMMANDS = {
    "verify": "verify few-heads --task summary:n_facts=3 --score near-copy:k=2 --length 256 --out own",
    "verify dynamism": "verify dynamism --task summary --score near-copy:k=2 --length 256 --runs 1 --out dynamism",
    "trace": "trace --task summary --score near-copy --length 256 --off every-other:n=3 --no-show --out traced",
    "ablate": "ablate --length 256 --depth 0.5 --runs 1 --condition clean --condition every-other:n=2 --heads ranked.csv --out grid",
    "rag": "rag --questions 2 --strategy bm25:sentences=1 --strategy no-context --out rag",
    "report": "report own dynamism traced grid rag",
    "explore": "explore own --sources 4 --no-show",
    "unknown": "verify few-head --task summary",
    "option": "trace --task summary:facts=3",
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Exit code, output and errors of each command, run in one process beside the plugin; and the folder it ran in."""
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "ranked.csv").write_text("layer,head,score\n3,6,0.5\n3,7,0.25\n4,0,0.125\n")
    paths = os.pathsep.join([str(PLUGIN), str(ROOT)])
    environment = os.environ | {"PYTHONPATH": paths, "TQDM_DISABLE": "1"}
    asked = json.dumps([words.split() for words in COMMANDS.values()])
    command = [sys.executable, "-c", RUN]
    done = subprocess.run(command, input=asked, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return dict(zip(COMMANDS, json.loads(done.stdout.splitlines()[-1]), strict=True)), folder


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("unknown", "option")])
def test_every_command_takes_what_the_package_adds(results, name):
    code, _, err = results[0][name]
    assert code == 0, err


def test_the_claim_is_judged_on_its_task_by_its_score(results):
    found, folder = results
    (verdict,) = json.loads((folder / "own" / "verdicts.json").read_text())
    record = json.loads((folder / "own" / "run.json").read_text())
    manifest = json.loads((folder / "own" / "traces" / "manifest.json").read_text())
    assert verdict["claim"] == "few-heads" and verdict["evidence"][0]["n"] > 0
    assert (record["asked"]["task"], record["asked"]["score"]) == ("summary:n_facts=3", "near-copy:k=2")
    assert (manifest["score"], manifest["score_options"], manifest["scores"]) == ("near-copy", {"k": 2}, "sparse")
    assert f"few-heads on mini: {verdict['verdict']}" in found["verify"][1]


def test_the_report_shows_what_it_has_never_heard_of(results):
    page = (results[1] / "own" / "report.html").read_text()
    assert "few-heads" in page and "summary" in page and "heads per retrieving step" in page
    assert "every-other:n=2" in page and "listed" in page and "bm25:sentences=1" in page


def test_the_schedule_and_the_list_are_conditions_of_the_grid(results):
    rows = json.loads((results[1] / "grid" / "results.json").read_text())["conditions"]
    off = {(row["condition"], row["commit"]): row["heads_off_per_step"]["estimate"] for row in rows}
    names = ("every-other:n=2", "listed", "listed-matched")
    assert set(off) == {("clean", None), *((name, commit) for name in names for commit in ("clean", "ablated"))}
    assert off["every-other:n=2", "clean"] > 0 and 0 < off["listed", "clean"] <= 3


def test_the_strategy_shows_windows_without_heads(results):
    (log, *_) = [json.loads(line) for line in next((results[1] / "rag" / "logs").glob("bm25*")).read_text().splitlines()]
    assert all(round["heads"] == [] for round in log["rounds"])


def test_what_is_misspelt_is_one_line_that_names_what_there_is(results):
    code, _, err = results[0]["unknown"]
    assert (
        code == 2 and "unknown claim 'few-head'; give one of alarm, anticipation, correlation, dynamism, few-heads, irreplaceability" in err
    )
    code, _, err = results[0]["option"]
    assert code == 2 and "task summary has no use for --facts" in err


def test_each_thing_is_one_file_of_its_own():
    files = sorted(path.name for path in (PLUGIN / "mechdyn_example").glob("*.py"))
    offered = (PLUGIN / "mechdyn_example-1.0.dist-info" / "entry_points.txt").read_text().splitlines()[1:]
    assert files == sorted(["__init__.py", *(f"{line.split('.')[-1]}.py" for line in offered)])
