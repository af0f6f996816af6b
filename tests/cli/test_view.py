"""`mechdyn view`: what it writes and says, and what it refuses in one line."""

import re
from pathlib import Path

import pytest

from mechdyn.heads import Head, RankedHeads
from mechdyn.traces.store import TraceStore
from tests.traces.examples import manifest
from tests.views.viewer.runs import ABLATED, HEADS, LAYERS, SAMPLES, write_run, write_store


@pytest.fixture
def viewed(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run")


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_run_is_viewed_and_viewed_again(run, viewed):
    code, out, _ = run("view", "run", "--no-open")
    assert code == 0 and f"samples  {SAMPLES} with {SAMPLES + ABLATED} generations under 2 conditions\n" in out
    assert "viewer   run/view/index.html\n" in out and "there is no report" in out and "prompts show token ids" in out
    before = files(viewed / "view")
    assert {"index.html", "explorer.html", "data/index.js", "data/part-0.js", "data/heads.js"} <= before.keys()
    stamps = {path: path.stat().st_mtime_ns for path in (viewed / "view").rglob("*")}
    code, out, _ = run("view", "run")
    assert code == 0 and "as it was made before" in out
    assert stamps == {path: path.stat().st_mtime_ns for path in (viewed / "view").rglob("*")}
    assert run("view", "run", "--dark")[0] == 0 and files(viewed / "view")["index.html"] != before["index.html"]
    assert run("view", "run", "--out", "again")[0] == 0 and files(Path("again")).keys() == before.keys()
    assert not [path for path in Path().rglob("*") if path.name.endswith((".tmp", ".old"))]


def test_a_store_of_continuous_scores_alone_is_viewed(run, tmp_path):
    write_store(tmp_path / "store", dense=True)
    assert run("view", "store", "--out", "page")[0] == 0
    assert (tmp_path / "page" / "index.html").is_file() and not (tmp_path / "page" / "report.html").exists()


def refused(run, *arguments) -> str:
    code, out, err = run("view", *arguments, "--no-open")
    assert (code, out) == (2, "") and re.fullmatch(r"error: [^\n]+\n", err)
    return err


def test_bad_input_is_one_line_and_nothing_is_written(run, viewed, tmp_path):
    assert "does not exist" in refused(run, "nowhere")
    (tmp_path / "empty").mkdir()
    assert "is neither the folder of a run nor a trace store" in refused(run, "empty")
    TraceStore.create(tmp_path / "bare", manifest())
    assert "has no traces yet" in refused(run, "bare")
    assert "has no store 'other' of traces; it has traces" in refused(run, "run", "--store", "other")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    assert "output folder full exists and is not a viewer; name a new one with --out" in refused(run, "run", "--out", "full")
    assert "cannot be written" in refused(run, "run", "--out", "full/mine.txt/deeper")
    RankedHeads((Head(40, 0),), (1.0,), LAYERS + 40, HEADS).save(tmp_path / "other.json")
    assert "cannot be compared" in refused(run, "run", "--heads", "other.json")
    assert files(tmp_path / "full") == {"mine.txt": b"mine"} and not (viewed / "view").exists()


def test_a_damaged_part_is_named_and_an_older_viewer_stays(run, viewed):
    assert run("view", "run")[0] == 0
    before = files(viewed / "view")
    (viewed / "log.jsonl").write_text('{"event": "end"}\n')
    part = next((viewed / "traces" / "steps").iterdir())
    damaged = bytearray(part.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    part.write_bytes(bytes(damaged))
    assert part.name in refused(run, "run")
    assert files(viewed / "view") == before
