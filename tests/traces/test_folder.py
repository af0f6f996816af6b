import os
import threading
from datetime import timedelta

import pytest

from mechdyn.errors import StoreError
from mechdyn.traces import folder as folders
from mechdyn.traces.folder import PARTS, STAGING, STEPS, TRACES, Folder, part_file


@pytest.fixture
def folder(tmp_path):
    made = Folder.at(tmp_path / "store")
    made.write_manifest("{}")
    return made


def write(staged):
    staged.steps.write_bytes(b"steps")
    staged.traces.write_bytes(b"traces")
    staged.seal.write_bytes(b"seal")


def everything(folder):
    return sorted(os.path.relpath(os.path.join(path, name), folder.root) for path, _, names in os.walk(folder.root) for name in names)


def test_a_part_is_there_after_its_block_and_not_before(folder):
    with folder.new_part() as staged:
        write(staged)
        assert folder.part_sizes(STEPS) == folder.part_sizes(TRACES) == folder.part_sizes(PARTS) == {}
    assert folder.part_sizes(STEPS) == {staged.part: 5}
    assert folder.part_sizes(TRACES) == {staged.part: 6}
    assert folder.part_sizes(PARTS) == {staged.part: 4}
    files = [f"parts/part-{staged.part}.json", f"steps/part-{staged.part}.parquet", f"traces/part-{staged.part}.parquet"]
    assert everything(folder) == ["manifest.json", *files]


def test_parts_are_in_the_order_of_writing(folder):
    made = []
    for _ in range(5):
        with folder.new_part() as staged:
            write(staged)
        made.append(staged.part)
    assert list(folder.part_sizes(PARTS)) == made


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_a_writer_that_fails_while_moving_leaves_nothing(folder, monkeypatch, failing):
    calls, replace = [], os.replace

    def broken(source, target):
        calls.append(target)
        if len(calls) == failing:
            raise OSError("disk gone")
        replace(source, target)

    monkeypatch.setattr(folders.os, "replace", broken)
    with pytest.raises(OSError, match="disk gone"), folder.new_part() as staged:
        write(staged)
    assert everything(folder) == ["manifest.json"]


def test_sweep_drops_what_a_dead_writer_left_wherever_it_died(folder):
    with folder.new_part() as whole:
        write(whole)
    before = everything(folder)
    staging = os.path.join(folder.root, STAGING)
    for name in ("0a.lock", "0a.steps", "0b.steps", "0b.traces", "0b.parts", "0b.lock", "0c.lock", "0c.traces", "0d.lock", "0d.parts"):
        with open(os.path.join(staging, name), "wb") as file:
            file.write(b"half")
    for kind, part in ((STEPS, "0c"), (STEPS, "0d"), (TRACES, "0d"), (TRACES, "0e")):
        with open(part_file(folder, kind, part), "wb") as file:
            file.write(b"whole")
    assert folder.sweep() == 5
    assert everything(folder) == before
    assert folder.sweep() == 0


def test_sweep_leaves_a_live_writer_alone(folder, monkeypatch):
    def sweep_between(source, target):
        assert Folder.at(folder.root).sweep() == 0
        replace(source, target)
        assert Folder.at(folder.root).sweep() == 0

    replace = os.replace
    with folder.new_part() as staged:
        write(staged)
        assert folder.sweep() == 0
        monkeypatch.setattr(folders.os, "replace", sweep_between)
    assert list(folder.part_sizes(PARTS)) == [staged.part]
    assert len(everything(folder)) == 4


def test_a_sweeper_that_comes_too_late_spares_a_finished_part(folder):
    """It saw the steps without the seal, then the writer finished, then it got the lock."""
    with folder.new_part() as staged:
        write(staged)
    assert not folder._drop(staged.part)
    assert list(folder.part_sizes(STEPS)) == [staged.part]


def test_a_fresh_lock_without_files_is_left_and_an_old_one_swept(folder, monkeypatch):
    path = os.path.join(folder.root, STAGING, "0a.lock")
    open(path, "wb").close()
    folder.sweep()
    assert os.path.exists(path)
    monkeypatch.setattr(folders, "ORPHAN_AGE", timedelta(0))
    folder.sweep()
    assert not os.path.exists(path)


def test_many_threads_write_and_sweep_at_once(folder):
    failures = []

    def work():
        own = Folder.at(folder.root)
        try:
            for _ in range(15):
                own.sweep()
                with own.new_part() as staged:
                    write(staged)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(folder.part_sizes(STEPS)) == len(folder.part_sizes(TRACES)) == len(folder.part_sizes(PARTS)) == 60
    assert len(everything(folder)) == 181


def test_elsewhere_files_without_a_seal_are_swept_only_when_old(monkeypatch):
    remote = Folder.at("memory://folder-test/store")
    remote.write_manifest("{}")
    remote.fs.pipe_file(part_file(remote, STEPS, "0a"), b"steps")
    remote.fs.pipe_file(part_file(remote, TRACES, "0a"), b"traces")
    with remote.new_part() as staged:
        write(staged)
    assert remote.sweep() == 0
    monkeypatch.setattr(folders, "ORPHAN_AGE", timedelta(0))
    assert remote.sweep() == 1
    assert remote.part_sizes(STEPS) == {staged.part: 5}
    assert remote.part_sizes(TRACES) == {staged.part: 6}


def test_a_writer_that_fails_elsewhere_uploads_nothing():
    remote = Folder.at("memory://folder-test/failing")
    remote.write_manifest("{}")
    with pytest.raises(RuntimeError), remote.new_part() as staged:
        write(staged)
        raise RuntimeError
    assert remote.part_sizes(STEPS) == remote.part_sizes(TRACES) == remote.part_sizes(PARTS) == {}


def test_an_unknown_protocol_is_one_clear_line():
    with pytest.raises(StoreError, match="a folder or a URL that fsspec knows, got nosuch://x"):
        Folder.at("nosuch://x")
