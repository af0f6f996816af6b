"""A probe comes back as it was, and only for its own model."""

import json
import random
from dataclasses import replace

import pytest
import torch

from mechdyn.errors import InputError, StoreError
from mechdyn.probes.dataset import probe_data
from mechdyn.probes.fit import TrainConfig, fit_probe
from mechdyn.probes.storage import load_probe, save_probe
from tests.probes.made_up import MODEL, random_traces


@pytest.fixture(scope="module")
def data():
    return probe_data(random_traces(), 1)


@pytest.fixture(scope="module")
def probe(data):
    return fit_probe(data, config=TrainConfig(epochs=1))


def test_a_saved_probe_predicts_the_same(probe, data, tmp_path):
    folder = save_probe(probe, tmp_path / "runs" / "probe")
    assert sorted(path.name for path in folder.iterdir()) == ["probe.json", "probe.safetensors"]
    loaded = load_probe(folder, MODEL)
    assert torch.equal(loaded.predict(data.test.hidden), probe.predict(data.test.hidden))
    for name in ("shape", "n_layers", "n_heads", "offset", "binary", "threshold", "model"):
        assert getattr(loaded, name) == getattr(probe, name)
    assert loaded.training == json.loads(json.dumps(probe.training))


def test_the_same_weights_under_another_name_are_the_same_model(probe, tmp_path):
    assert load_probe(save_probe(probe, tmp_path), MODEL | {"name": "a path"}).offset == 1


def test_a_probe_of_another_model_is_refused(probe, tmp_path):
    folder = save_probe(probe, tmp_path)
    with pytest.raises(StoreError, match=r"fitted on another model, made up \(revision: 'abc', not 'def'\)"):
        load_probe(folder, MODEL | {"revision": "def"})
    with pytest.raises(StoreError, match="d_model: 24, not 32"):
        load_probe(folder, MODEL | {"d_model": 32})


def test_a_probe_without_identity_is_not_saved(probe, tmp_path):
    with pytest.raises(InputError, match="identity of its model"):
        save_probe(replace(probe, model={}), tmp_path)


def test_missing_and_damaged_probes_are_named(probe, tmp_path):
    with pytest.raises(StoreError, match="there is no probe in"):
        load_probe(tmp_path)
    folder = save_probe(probe, tmp_path / "p")
    config = json.loads((folder / "probe.json").read_text())
    (folder / "probe.json").write_text(json.dumps(config | {"version": 99}))
    with pytest.raises(StoreError, match="has version 99, this mechdyn reads 2"):
        load_probe(folder)
    (folder / "probe.json").write_text("{")
    with pytest.raises(StoreError, match="cannot be read"):
        load_probe(folder)
    save_probe(probe, folder)
    (folder / "probe.safetensors").write_bytes(b"short")
    with pytest.raises(StoreError, match="is damaged: its files are not what was written"):
        load_probe(folder)
    save_probe(probe, folder)
    (folder / "probe.json").write_text(json.dumps(config | {"shape": config["shape"] | {"hidden": [3]}}))
    with pytest.raises(StoreError, match="is damaged"):
        load_probe(folder)


@pytest.mark.parametrize("name", ["probe.json", "probe.safetensors"])
def test_a_flipped_bit_is_found_wherever_it_is(probe, tmp_path, name):
    file, draw = save_probe(probe, tmp_path) / name, random.Random(name)
    whole = file.read_bytes()
    for _ in range(20):
        content = bytearray(whole)
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        file.write_bytes(bytes(content))
        with pytest.raises(StoreError, match=r"damaged|cannot be read|has version"):
            load_probe(tmp_path)
    file.write_bytes(whole)
    assert load_probe(tmp_path).shape == probe.shape


def test_a_probe_of_before_hashes_is_read(probe, tmp_path):
    file = save_probe(probe, tmp_path) / "probe.json"
    config = {name: value for name, value in json.loads(file.read_text()).items() if name not in ("weights", "sha256")}
    file.write_text(json.dumps(config | {"version": 1}))
    assert load_probe(tmp_path, MODEL).training == probe.training
