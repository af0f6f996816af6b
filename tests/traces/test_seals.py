"""A store keeps faith: what comes out is what was written, or an error that names the file."""

import errno
import hashlib
import random
import secrets
import shutil
import uuid
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mechdyn.errors import StoreError
from mechdyn.traces.folder import PARTS, STEPS, TRACES, Folder
from mechdyn.traces.manifest import parse_manifest
from mechdyn.traces.seals import SealedFile, is_sealed, parse_seal, reading, sealed_json, verify
from mechdyn.traces.store import TraceStore
from tests.traces.examples import assert_same, manifest, random_trace

VERSION_2 = Path(__file__).parent / "version_2"
"""A store that the first release wrote: traces a and b in one part, c in another."""


@pytest.fixture
def filled(tmp_path):
    store = TraceStore.create(tmp_path / "store", manifest())
    traces = [random_trace(unit, n_steps=20 + index, ablated=index > 1, ablated_scores=index > 1) for index, unit in enumerate("abcd")]
    store.append(traces[:2])
    store.append(traces[2:])
    return tmp_path / "store", traces


def read_everything(path):
    """Every way out of a store; what they give."""
    store = TraceStore.open(path)
    rows = store.rows(["unit", "text", "meta"]).to_pylist()
    return (
        store.manifest,
        rows,
        pa.Table.from_batches(list(store.scan())).to_pylist(),
        list(store.traces()),
        len(store.to_datasets(path.parent / "cache")),
    )


# Damage


@pytest.mark.parametrize("kind", ["manifest", PARTS, STEPS, TRACES])
def test_a_byte_that_changed_anywhere_is_found(filled, kind):
    path, _ = filled
    file = path / "manifest.json" if kind == "manifest" else sorted((path / kind).iterdir())[-1]
    seed = secrets.randbits(32)
    rng = random.Random(seed)
    whole = file.read_bytes()
    for _ in range(40):
        place, by = rng.randrange(len(whole)), rng.randrange(1, 256)
        changed = bytearray(whole)
        changed[place] ^= by
        file.write_bytes(changed)
        with pytest.raises(StoreError) as caught:
            read_everything(path)
        assert str(file) in str(caught.value), (seed, place, by)
        assert "\n" not in str(caught.value)
    file.write_bytes(whole)
    read_everything(path)


@pytest.mark.parametrize("kind", [PARTS, STEPS, TRACES])
def test_bytes_too_few_or_too_many_are_found(filled, kind):
    path, _ = filled
    file = sorted((path / kind).iterdir())[0]
    whole = file.read_bytes()
    for changed in (whole[:-1], whole[1:], whole + b"\n", whole + whole, b""):
        file.write_bytes(changed)
        with pytest.raises(StoreError, match="damaged or truncated"):
            read_everything(path)


def test_every_bit_of_the_small_files_counts(filled):
    path, _ = filled
    for file, parse in ((path / "manifest.json", parse_manifest), (next((path / PARTS).iterdir()), parse_seal)):
        whole = file.read_bytes()
        parse(whole.decode(), "here")
        for place in range(len(whole)):
            for bit in range(8):
                changed = whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :]
                try:
                    text = changed.decode()
                except UnicodeDecodeError:
                    continue  # refused before it is parsed
                with pytest.raises(StoreError, match="here"):
                    parse(text, "here")


def test_parts_that_are_whole_are_read_beside_a_damaged_one(filled):
    path, traces = filled
    file = sorted((path / STEPS).iterdir())[1]
    file.write_bytes(bytes(len(file.read_bytes())))
    store = TraceStore.open(path)
    assert_same(store.load(["b"])[0], traces[1])
    assert store.rows(["unit"]).num_rows == 4
    for read in (lambda: store.load(["c"]), lambda: list(store.scan(["unit"])), store.to_datasets):
        with pytest.raises(StoreError, match="is damaged or truncated: its SHA-256 is") as caught:
            read()
        assert str(file) in str(caught.value)


def test_the_files_of_two_parts_cannot_be_exchanged(filled):
    path, _ = filled
    for kind in (STEPS, TRACES):
        first, second = sorted((path / kind).iterdir())
        kept = first.read_bytes()
        shutil.copy(second, first)
        with pytest.raises(StoreError, match="damaged or truncated"):
            read_everything(path)
        first.write_bytes(kept)


def test_a_sealed_text_is_its_own_proof():
    for values in ({}, {"a": "ü\n"}, {"nested": {"sha256": ""}, "b": 1.5}):
        text = sealed_json(values)
        assert is_sealed(text)
        assert not is_sealed(text.replace("1.5", "1.50") if "1.5" in text else f" {text}")
    for text in ("", "{}", "x" * 200):
        assert not is_sealed(text)


def test_a_file_is_read_through_once_in_a_process(monkeypatch):
    url = f"memory://{uuid.uuid4()}"
    TraceStore.create(url, manifest()).append([random_trace("a"), random_trace("b")])
    hashed, file_digest = [], hashlib.file_digest

    def counting(stream, name):
        hashed.append(stream)
        return file_digest(stream, name)

    monkeypatch.setattr(hashlib, "file_digest", counting)
    for _ in range(3):
        store = TraceStore.open(url)
        store.load(["a"]), store.load(["b"]), list(store.scan()), store.rows(["text"])
    assert len(hashed) == 2


def test_a_file_that_just_came_is_read_again(tmp_path):
    """A second change within the clock's resolution has the same time as the first."""
    path = tmp_path / "file"
    path.write_bytes(b"right")
    file = SealedFile(str(path), 5, hashlib.sha256(b"right").hexdigest())
    verify(Folder.at(tmp_path), file)
    path.write_bytes(b"wrong")
    with pytest.raises(StoreError, match="its SHA-256 is"):
        verify(Folder.at(tmp_path), file)


# Another store's


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "other"}, r"belongs to another store \(model: 'other', not 'tiny'\)"),
        ({"revision": "def"}, r"belongs to another store \(revision: 'def', not 'abc'\)"),
        ({"n_layers": 4, "n_heads": 3}, r"\(n_layers: 4, not 3; n_heads: 3, not 4\)"),
        ({"seeds": {"samples": 3}}, r"belongs to another store \(it was written under a manifest with other settings"),
        ({"score_options": {"k": 2}}, "it was written under a manifest with other settings"),
    ],
)
def test_a_part_of_another_store_is_refused(filled, tmp_path, changes, message):
    path, _ = filled
    theirs = manifest(**changes)
    trace = random_trace("z")
    shape = (trace.n_steps, theirs.n_layers, theirs.n_heads)
    TraceStore.create(tmp_path / "other", theirs).append([replace(trace, retrieval_scores=trace.retrieval_scores.reshape(shape))])
    for kind in (STEPS, TRACES, PARTS):
        shutil.copy(next((tmp_path / "other" / kind).iterdir()), path / kind)
    with pytest.raises(StoreError, match=message) as caught:
        TraceStore.open(path)
    assert "delete" not in str(caught.value)


def test_parts_of_the_same_run_can_be_put_together(filled, tmp_path):
    path, _ = filled
    TraceStore.create(tmp_path / "other", manifest()).append([random_trace("z")])
    for kind in (STEPS, TRACES, PARTS):
        shutil.copy(next((tmp_path / "other" / kind).iterdir()), path / kind)
    assert TraceStore.open(path).keys() == {"a", "b", "c", "d", "z"}


# What is no damage


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
        (PermissionError("no rights"), "no rights"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (TimeoutError("the bucket does not answer"), "the bucket does not answer"),
        (OSError("a reader's own words"), "a reader's own words"),
        (pa.ArrowInvalid("not read"), "not read"),
        (pa.ArrowMemoryError("malloc failed"), "memory ran out (malloc failed)"),
        (MemoryError(), "memory ran out (MemoryError)"),
    ],
)
def test_a_file_whose_bytes_are_right_is_never_called_damaged(tmp_path, error, said):
    path = tmp_path / "file"
    path.write_bytes(b"right")
    with (
        pytest.raises(StoreError) as caught,
        reading(Folder.at(tmp_path), SealedFile(str(path), 5, hashlib.sha256(b"right").hexdigest())),
    ):
        raise error
    assert str(caught.value).startswith(f"{path} cannot be read") and said in str(caught.value)
    assert "delete" not in str(caught.value) and "damaged or truncated" not in str(caught.value)


def test_without_a_checksum_only_what_cannot_be_decoded_is_damaged(tmp_path):
    file = SealedFile(str(tmp_path / "file"), None, None)
    for error in (OSError("couldn't deserialize thrift"), pa.ArrowInvalid("no magic bytes")):
        with pytest.raises(StoreError, match="damaged or truncated"), reading(Folder.at(tmp_path), file):
            raise error
    for error in (PermissionError("no"), OSError(errno.EMFILE, "many")):
        with pytest.raises(StoreError, match="nothing says that it is damaged"), reading(Folder.at(tmp_path), file):
            raise error


# The first release


def test_a_store_of_the_first_release_is_read_and_not_written_to(tmp_path):
    path = shutil.copytree(VERSION_2, tmp_path / "store")
    before = sorted(path.rglob("*"))
    store = TraceStore.open(path)
    wanted = [random_trace("a", 4), random_trace("b", 3, ablated=True, ablated_scores=True), random_trace("c", 5, n_sentences=2)]
    for loaded, trace in zip(store.traces(), wanted, strict=True):
        assert_same(loaded, trace)
    assert pa.Table.from_batches(list(store.scan(["unit"])))["unit"].to_pylist() == list("aaaabbbccccc")
    assert store.sweep() == 0
    with pytest.raises(StoreError, match=r"written by an earlier mechdyn \(schema version 2\) and can only be read"):
        store.append([random_trace("d")])
    assert sorted(path.rglob("*")) == before


def test_what_a_file_of_the_first_release_shows_of_damage_is_named(tmp_path):
    path = shutil.copytree(VERSION_2, tmp_path / "store")
    file = sorted((path / TRACES).iterdir())[0]
    table = pq.read_table(file)
    pq.write_table(table.replace_schema_metadata(None), file)
    with pytest.raises(StoreError, match="it does not declare what it is a part of"):
        TraceStore.open(path)
    pq.write_table(table.drop_columns(["threshold"]), file)
    with pytest.raises(StoreError, match=r"its columns are not those of a store \(threshold\)"):
        TraceStore.open(path)
    pq.write_table(table, file)
    with pytest.raises(StoreError, match="its footer does not give the length of its steps"):
        TraceStore.open(path)
    file.write_bytes(b"PAR1")
    with pytest.raises(StoreError, match="damaged or truncated"):
        TraceStore.open(path)
