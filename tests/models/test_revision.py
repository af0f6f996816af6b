"""A revision stands for every byte that decides what a model computes."""

import hashlib
import json
import os
import random
import secrets
import shutil
import time

import pytest

from mechdyn.models.load import load_model
from mechdyn.models.registry import MINI_FOLDER
from mechdyn.models.revision import file_digest, folder_revision, user_cache


@pytest.fixture
def folder(tmp_path):
    """A copy of the bundled model's folder."""
    return shutil.copytree(MINI_FOLDER, tmp_path / "model")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MECHDYN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def flip(path, rng):
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def test_a_bit_anywhere_in_any_file_of_the_model_counts(folder):
    before, seed = folder_revision(folder), secrets.randbits(32)
    rng = random.Random(seed)
    files = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "model.safetensors"]
    for name in files + 10 * ["model.safetensors"]:
        whole = (folder / name).read_bytes()
        flip(folder / name, rng)
        assert folder_revision(folder) != before, (name, seed)
        (folder / name).write_bytes(whole)
    assert folder_revision(folder) == before


def test_weights_of_every_format_and_place_count(folder):
    seen = {folder_revision(folder)}
    (folder / "deep").mkdir()
    index = json.dumps({"weight_map": {"a": "deep/shard.safetensors"}})
    for name, content in (
        ("pytorch_model.bin", b"x" * 100),
        ("pytorch_model.bin", b"x" * 99 + b"y"),
        ("deep/shard.safetensors", b"not named by an index"),
        ("model.safetensors.index.json", index.encode()),
        ("deep/shard.safetensors", b"named by an index now"),
        ("adapter_config.json", b"{}"),
        ("tokenizer.model", b"pieces"),
    ):
        (folder / name).write_bytes(content)
        seen.add(folder_revision(folder))
    assert len(seen) == 7  # all but the shard that nothing names


def test_what_does_not_decide_what_the_model_computes_does_not_count(folder, tmp_path):
    before = folder_revision(folder)
    (folder / "README.md").write_text("about it")
    (folder / "trainer_state.json").write_text("{}")
    os.utime(folder / "model.safetensors", (0, 0))
    assert folder_revision(folder) == before
    assert folder_revision(folder.rename(tmp_path / "elsewhere")) == before == load_model("mini").revision


def test_names_and_contents_cannot_be_exchanged(tmp_path):
    revisions = set()
    for number, (left, right) in enumerate([("a", "b"), ("b", "a"), ("ab", ""), ("", "ab")]):
        made = tmp_path / str(number)
        made.mkdir()
        (made / "one.bin").write_text(left)
        (made / "two.bin").write_text(right)
        revisions.add(folder_revision(made))
    assert len(revisions) == 4


def entries(cache):
    return sorted((cache / "digests").glob("*.json")) if cache.exists() else []


def test_a_large_file_is_read_once_and_again_when_it_changes(cache, tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"a" * 100)
    first = file_digest(path, remembered_from=100, settled=0.0)
    (entry,) = entries(cache)
    # What is remembered is what is given: so the file was not read.
    entry.write_text(entry.read_text().replace(first, "0" * 64))
    assert file_digest(path, remembered_from=100) == "0" * 64
    assert file_digest(path, remembered_from=101) == first
    for damage in ("", "[]", "{", '{"sha256": 3}', "null", entry.read_text().replace("0" * 64, "0")):
        entry.write_text(damage)
        assert file_digest(path, remembered_from=100) == first, damage
    entry.write_bytes(b"\xff")
    assert file_digest(path, remembered_from=100, settled=0.0) == first
    times = path.stat()
    time.sleep(0.05)
    path.write_bytes(b"b" * 100)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as long as before and of the same time: as rsync leaves it
    assert file_digest(path, remembered_from=100) == hashlib.sha256(b"b" * 100).hexdigest()


def test_a_file_that_changed_a_moment_ago_is_not_remembered(cache, tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"a" * 100)
    file_digest(path, remembered_from=1)
    assert not entries(cache)


def test_a_cache_that_cannot_be_written_to_is_no_hindrance(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MECHDYN_CACHE", str(tmp_path / "file"))
    path = tmp_path / "weights"
    path.write_bytes(b"a" * 100)
    assert file_digest(path, remembered_from=1, settled=0.0) == file_digest(path)


def test_small_models_leave_nothing_in_the_cache(cache):
    load_model("mini")
    assert not cache.exists()


def test_where_the_cache_is(monkeypatch, tmp_path):
    for name in ("MECHDYN_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_cache() == tmp_path / ".cache" / "mechdyn"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert user_cache() == tmp_path / "xdg" / "mechdyn"
    monkeypatch.setenv("MECHDYN_CACHE", str(tmp_path / "own"))
    assert user_cache() == tmp_path / "own"
