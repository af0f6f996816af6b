"""Fetching pinned wheels, from a registry made here: a folder with a page for each package."""

import hashlib
import re
import zipfile
from dataclasses import replace

import pytest

from mechdyn.errors import InputError
from mechdyn.models.fetch import fetch, fetched_file, file_of, is_fetched
from mechdyn.models.load import load_model
from mechdyn.models.registry import FETCHED, FetchedModel, Wheel

CONTENT = bytes(range(256)) * 40
PARTS = (CONTENT[:7000], CONTENT[7000:])


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MECHDYN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return tmp_path / "cache"


def make_wheel(folder, number, content):
    """A wheel that holds a part, and code that must never be run."""
    name = f"tiny_gguf_part{number}"
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}/__init__.py", "raise SystemExit('code of a wheel was run')\n")
        archive.writestr(f"{name}/data/part", content)
        archive.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: tiny-gguf-part{number}\nVersion: 1.0\n")
        archive.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{name}-1.0.dist-info/RECORD", "")
    return path


@pytest.fixture
def registry(tmp_path):
    """Options of pip for a registry of two wheels, and the model that they hold."""
    index = tmp_path / "simple"
    wheels = []
    for number, content in enumerate(PARTS, start=1):
        folder = index / f"tiny-gguf-part{number}"
        folder.mkdir(parents=True)
        path = make_wheel(folder, number, content)
        (folder / "index.html").write_text(f'<a href="{path.name}">{path.name}</a>')
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        wheels.append(Wheel(f"tiny-gguf-part{number}", "1.0", sha256, f"tiny_gguf_part{number}/data/part"))
    model = FetchedModel(
        name="tiny",
        about="two parts",
        hub="nobody/tiny",
        licence="MIT",
        terms="https://example.org",
        file="tiny.gguf",
        n_bytes=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        wheels=tuple(wheels),
    )
    return model, ["--index-url", index.as_uri()]


def refused(model, options=()):
    """The one line with which fetching ends; nothing may be left of it."""
    with pytest.raises(InputError) as caught:
        fetch(model, options)
    assert "\n" not in str(caught.value)
    assert not file_of(model).exists()
    assert not file_of(model).parent.is_dir() or list(file_of(model).parent.iterdir()) == []
    return str(caught.value)


def test_the_parts_are_joined_and_nothing_else_is_kept(registry, cache):
    model, options = registry
    assert not is_fetched(model)
    file = fetch(model, options)
    assert file.read_bytes() == CONTENT and fetched_file(model) == file and is_fetched(model)
    assert [each.name for each in cache.rglob("*") if each.is_file() and "digests" not in each.parts] == ["tiny.gguf"]


def test_a_wheel_with_another_hash_is_refused(registry):
    model, options = registry
    wrong = replace(model, wheels=(model.wheels[0], replace(model.wheels[1], sha256="0" * 64)))
    assert "the registry's wheel is not the pinned one (another SHA-256)" in refused(wrong, options)


@pytest.mark.parametrize("change", [{"sha256": "0" * 64}, {"n_bytes": len(CONTENT) - 1}, {"n_bytes": len(CONTENT) + 1}])
def test_a_file_with_another_hash_or_size_is_refused(registry, change):
    model, options = registry
    assert "is not the file that is wanted: its SHA-256 is another; nothing was kept" in refused(replace(model, **change), options)


def test_a_wheel_without_the_member_is_refused(registry):
    model, options = registry
    wrong = replace(model, wheels=(replace(model.wheels[0], member="../outside"), model.wheels[1]))
    assert "tiny_gguf_part1-1.0-py3-none-any.whl does not hold ../outside" in refused(wrong, options)


def test_without_network_it_is_one_line(registry):
    model, _ = registry
    said = refused(model, ["--index-url", "http://127.0.0.1:9/simple"])
    assert re.match(r"tiny cannot be fetched: pip got no tiny-gguf-part1 1\.0, tiny-gguf-part2 1\.0 \(.*\); connect to the network", said)


def test_without_pip_it_is_one_line(registry, monkeypatch):
    monkeypatch.setattr("mechdyn.models.fetch.find_spec", lambda _: None)
    assert "fetched with pip, which this Python lacks; `python -m ensurepip` installs it" in refused(registry[0])


def test_a_cache_that_cannot_be_written_is_named(registry, cache):
    cache.write_text("a file where the folder should be")
    with pytest.raises(InputError, match=r"tiny cannot be fetched into .*cache/models/tiny \(.*\); .* set MECHDYN_CACHE"):
        fetch(*registry)


def test_a_model_that_is_not_fetched_names_the_command():
    for name in FETCHED:
        with pytest.raises(InputError, match=rf"{name} is not on this machine yet; `mechdyn models get {name}` fetches it \(\d+ MB, \w+"):
            load_model(name)


def test_a_fetched_file_that_was_altered_is_refused(registry):
    model, options = registry
    file = fetch(model, options)
    file.write_bytes(b"x" + CONTENT[1:])
    with pytest.raises(InputError, match=r"is not the file of tiny that is wanted: its SHA-256 is another; `mechdyn models get tiny`"):
        fetched_file(model)
    assert fetch(model, options).read_bytes() == CONTENT


def test_what_is_pinned_is_well_formed():
    for name, model in FETCHED.items():
        assert model.name == name and all(re.fullmatch("[0-9a-f]{64}", each) for each in (model.sha256, *(w.sha256 for w in model.wheels)))
        assert all(wheel.member.startswith(wheel.package.replace("-", "_") + "/") and ".." not in wheel.member for wheel in model.wheels)
