"""Disks that fill up, folders that lose their rights, files that change: a clear line or recovery, and what was there stays."""

import json
import os
import random
import shutil
import subprocess
import sys
import time

import pytest

from mechdyn.errors import MechdynError
from mechdyn.runs.configs import VerifyConfig
from mechdyn.runs.read import read_run
from mechdyn.runs.verify import verify
from mechdyn.traces.store import TraceStore
from tests.faults.sweeps import trace_hash
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
        content = bytearray(file.read_bytes())
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        time.sleep(0.01)
        file.write_bytes(bytes(content))
        try:
            again = read_run(run)
        except MechdynError as error:
            assert "\n" not in str(error)
        else:
            assert again.content.verdict == verified.verdict, f"{file} flipped, and nobody saw it"
        shutil.rmtree(run)


def test_two_processes_on_one_folder(whole, begun):
    code = f"from mechdyn.runs.verify import verify\nfrom tests.faults.test_broken_disks import CONFIG\nverify(CONFIG, {str(begun)!r})"
    processes = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate()[1] for process in processes]
    refused = [text for process, text in zip(processes, said, strict=True) if process.returncode]
    assert all("another process is at the run in" in text for text in refused) and len(refused) < 3
    assert verify(CONFIG, begun).verdict == whole[0].verdict


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
