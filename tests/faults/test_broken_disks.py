"""Disks that fill up, folders that lose their rights, files that change: a clear line or recovery, and what was there stays."""

import json
import os
import random
import shutil
import subprocess
import time
from dataclasses import replace

import pytest

from mechdyn.errors import MechdynError
from mechdyn.runs.configs import DetectConfig, VerifyConfig
from mechdyn.runs.decore import decore
from mechdyn.runs.detect import detect
from mechdyn.runs.improve_configs import DecoreConfig
from mechdyn.runs.json_lines import read_lines
from mechdyn.runs.rag import rag
from mechdyn.runs.rag_configs import RagConfig
from mechdyn.runs.read import read_run
from mechdyn.runs.sweep import sweep
from mechdyn.runs.sweep_plan import read_plan
from mechdyn.runs.verify import verify
from mechdyn.traces.store import TraceStore
from tests.faults.child import run_verify
from tests.faults.sweeps import CONTEXT, trace_hash
from tests.runs.folders import verify_in_part

pytestmark = pytest.mark.faults
CONFIG = VerifyConfig("dynamism", model="planted-dynamic", lengths=(128,), depths=(0.5,), runs=4, max_new_tokens=4, batch_size=2)
N_FLIPS = 20


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    return verify(CONFIG, folder), folder


@pytest.fixture
def begun(tmp_path):
    verify_in_part(CONFIG, tmp_path / "run", slice(0, 6))
    return tmp_path / "run"


def traces_of(folder):
    return {trace.unit: trace_hash(trace) for trace in TraceStore.open(folder / "traces").traces()}


@pytest.fixture
def disk(tmp_path):
    """A disk of 300 kB of its own."""
    if os.geteuid():
        pytest.skip("needs the right to mount a small tmpfs")
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "none", str(place)], capture_output=True).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(whole, disk):
    verify_in_part(CONFIG, disk / "run", slice(0, 4))
    before = traces_of(disk / "run")
    filler = disk / "filler"
    with pytest.raises(OSError), filler.open("wb") as file:
        while True:
            file.write(bytes(4096))
            file.flush()
    with pytest.raises(MechdynError, match=r"No space left|cannot be written"):
        verify(CONFIG, disk / "run")
    assert traces_of(disk / "run") == before
    filler.unlink()
    assert verify(CONFIG, disk / "run").verdict == whole[0].verdict


def test_an_output_made_read_only_midway_is_one_line(whole, disk):
    verify_in_part(CONFIG, disk / "run", slice(0, 4))
    before = traces_of(disk / "run")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(MechdynError, match=r"cannot be written"):
        verify(CONFIG, disk / "run")
    assert traces_of(disk / "run") == before
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert verify(CONFIG, disk / "run").verdict == whole[0].verdict


def test_a_part_that_is_cut_off_is_named_and_can_be_made_anew(whole, tmp_path):
    verified, folder = whole
    for kind in ("steps", "traces", "parts"):
        run = shutil.copytree(folder, tmp_path / kind)
        file = next(iter(sorted((run / "traces" / kind).iterdir())))
        file.write_bytes(file.read_bytes()[:-20])
        with pytest.raises(MechdynError, match=r"is damaged or truncated: .*; delete the files of its part"):
            verify(CONFIG, run)
        for each in ("steps", "traces", "parts"):
            next((run / "traces" / each).glob(f"{file.stem}.*")).unlink()
        assert verify(CONFIG, run).verdict == verified.verdict


KINDS = {
    "steps": "traces/steps/*",
    "traces": "traces/traces/*",
    "seals": "traces/parts/*",
    "manifest": "traces/manifest.json",
    "run.json": "run.json",
    "roles": "traces.json",
    "verdicts": "verdicts.json",
    "log": "log.jsonl",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_byte_is_found_or_changes_nothing(whole, tmp_path, kind):
    """A reader either refuses in one line, or gives the very verdict; a wrong number never."""
    verified, folder = whole
    draw = random.Random(kind)
    for number in range(N_FLIPS):
        run = shutil.copytree(folder, tmp_path / str(number))
        file = draw.choice(sorted(run.glob(KINDS[kind])))
        damaged(file, draw)
        try:
            again = read_run(run)
        except MechdynError as error:
            assert "\n" not in str(error)
        else:
            assert again.content.verdict == verified.verdict, f"{file} flipped, and nobody saw it"
        shutil.rmtree(run)


def damaged(file, draw):
    content = bytearray(file.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    time.sleep(0.01)
    file.write_bytes(bytes(content))


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """A run of each other kind of file, by name."""
    folder = tmp_path_factory.mktemp("others")
    ranked = detect(DetectConfig(model="planted-static", lengths=(128,), depths=(0.5,), runs=3), folder / "detect").ranking
    ranked.save(folder / "list.json")
    verify(replace(CONFIG, heads=str(folder / "list.json"), model="planted-static"), folder / "heads")
    asked = {"lengths": (150,), "depths": (0.5,), "runs": 2, "texts": 1, "text_length": 12, "on": ("niah",), "max_new_tokens": 6}
    decore(DecoreConfig(heads="L1H1 L3H2", methods=("uniform",), **asked), folder / "decore")
    rag(RagConfig(lengths=(220,), questions=2, k=4, window=12, batch_size=2, strategies=("oracle", "full-context")), folder / "rag")
    (folder / "plan.toml").write_text('models = ["planted-dynamic"]\nclaims = ["dynamism"]\n[options]\nlength = [128]\nruns = 2\n')
    sweep(read_plan(folder / "plan.toml"), folder / "sweep")
    return folder


OTHERS = {
    "checksums": "heads/.seals.json",
    "static heads": "heads/static_heads.json",
    "detected heads": "detect/heads.json",
    "results of detection": "detect/results.json",
    "results of an improvement": "decore/results.json",
    "answers of an improvement": "decore/answers.jsonl",
    "answers of RAG": "rag/logs/*.jsonl",
    "questions of RAG": "rag/questions.jsonl",
    "verdict on RAG": "rag/verdicts.json",
    "where a store is": "sweep/*/traces.at.json",
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_flipped_byte_of_other_files_is_found_or_changes_nothing(others, tmp_path, kind):
    """As above; of lines that are appended to, the last may count as cut off, and is made again."""
    draw, again, place = random.Random(kind), tmp_path / "runs", OTHERS[kind]
    shutil.copytree(others, again)
    (file, *_) = sorted(again.glob(place))
    run, whole = next(each for each in file.parents if (each / "run.json").is_file()), file.read_bytes()
    content, lines = repr(read_run(run).content), read_lines(file, dict) if file.suffix == ".jsonl" else []
    for _ in range(N_FLIPS):
        damaged(file, draw)
        try:
            found = repr(read_run(run).content)
            kept = read_lines(file, dict) if lines else []
        except MechdynError as error:
            assert "\n" not in str(error)
        else:
            assert found == content and kept == lines[: len(kept)], f"{file} flipped, and nobody saw it"
        file.write_bytes(whole)


def test_two_processes_on_one_folder(whole, begun, tmp_path, record_property):
    said = [tmp_path / f"said-{number}.txt" for number in range(3)]
    processes = [CONTEXT.Process(target=run_verify, args=(CONFIG, str(begun), str(file))) for file in said]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    refused = [file.read_text() for process, file in zip(processes, said, strict=True) if process.exitcode]
    assert all("another process is at the run in" in text for text in refused) and len(refused) < 3
    assert verify(CONFIG, begun).verdict == whole[0].verdict
    record_property("measured", f"three processes at once: {len(refused)} refused in one line, the run as if there had been one")


def test_a_clock_that_is_set_back(whole, begun, monkeypatch):
    now, wall = time.time_ns(), time.time
    monkeypatch.setattr(time, "time_ns", lambda: now - 10**9 * 86_400 * 400)
    monkeypatch.setattr(time, "time", lambda: wall() - 86_400 * 400)
    assert verify(CONFIG, begun).verdict == whole[0].verdict
    monkeypatch.undo()
    assert verify(CONFIG, begun).verdict == whole[0].verdict


def test_a_store_of_a_newer_schema_is_one_line_and_stays_as_it_is(whole, tmp_path):
    from mechdyn.traces.seals import sealed_json

    run = shutil.copytree(whole[1], tmp_path / "run")
    path = run / "traces" / "manifest.json"
    values = {name: value for name, value in json.loads(path.read_text()).items() if name != "sha256"}
    path.write_text(sealed_json({**values, "schema_version": 99}))
    before = {file: file.read_bytes() for file in (run / "traces").rglob("*") if file.is_file()}
    with pytest.raises(MechdynError, match="has schema version 99, this mechdyn reads versions 2 and 3; install the mechdyn that wrote it"):
        verify(CONFIG, run)
    assert {file: file.read_bytes() for file in before} == before
