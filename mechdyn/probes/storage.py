"""Probes on disk: weights as safetensors, the rest as JSON, which ends with a hash of itself and has that of the weights."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from mechdyn.errors import InputError, StoreError
from mechdyn.probes.mlp import MLPShape
from mechdyn.probes.probe import Probe
from mechdyn.traces.seals import file_hash, is_sealed, sealed_json

_WEIGHTS, _CONFIG = "probe.safetensors", "probe.json"
_VERSION, _UNSEALED = 2, 1
"""Version 1 had no hashes; it is read."""
_FIELDS = ("n_layers", "n_heads", "offset", "binary", "threshold", "model", "training")


def save_probe(probe: Probe, folder: str | Path) -> Path:
    """Write `probe.safetensors` and `probe.json` into a folder, made where it is missing; an older probe in it is replaced.

    Raises:
        InputError: the folder cannot be written, or the probe's model is not known.
    """
    if not probe.model.get("revision"):
        raise InputError("a probe is saved with the identity of its model, this one's traces did not record it; trace with mechdyn")
    from safetensors.torch import save_file  # which loads torch

    target = Path(folder)
    config = {"version": _VERSION, "shape": asdict(probe.shape)} | {name: getattr(probe, name) for name in _FIELDS}
    try:
        target.mkdir(parents=True, exist_ok=True)
        # Each file takes its name when it is whole, the one that says that a probe is there last.
        partial = [target / f".{name}.{os.getpid()}" for name in (_WEIGHTS, _CONFIG)]
        save_file(probe.network.state_dict(), partial[0])
        partial[1].write_text(sealed_json({**config, "weights": file_hash(partial[0])}), encoding="utf-8")
        for file, name in zip(partial, (_WEIGHTS, _CONFIG), strict=True):
            os.replace(file, target / name)
    except OSError as error:
        raise InputError(f"probe folder {target} cannot be written ({error.strerror}); name another") from error
    return target


def load_probe(folder: str | Path, model: Mapping[str, Any] | None = None) -> Probe:
    """Read a probe.

    Args:
        folder: where `save_probe` wrote it.
        model: the identity (`Model.identity()`) of the model that it is to be used on; not checked when left out.

    Raises:
        StoreError: no probe is there, it is damaged or of another version, or it was fitted on another model (revision, dtype or
            shape).
    """
    from safetensors.torch import load_file

    source = Path(folder)
    try:
        text = (source / _CONFIG).read_text(encoding="utf-8")
        config = json.loads(text)
        version = config["version"]
        if version not in (_VERSION, _UNSEALED):
            raise StoreError(f"the probe in {source} has version {version}, this mechdyn reads {_VERSION}; fit it again")
        if version == _VERSION and not (is_sealed(text) and file_hash(source / _WEIGHTS) == config["weights"]):
            raise StoreError(f"the probe in {source} is damaged: its files are not what was written; fit it again")
        shape = MLPShape(**config["shape"] | {"hidden": tuple(config["shape"]["hidden"])})
        network = shape.build()
        network.load_state_dict(load_file(source / _WEIGHTS))
        probe = Probe(network.eval().requires_grad_(False), shape, **{name: config[name] for name in _FIELDS})
    except FileNotFoundError as error:
        raise StoreError(f"there is no probe in {source} ({_CONFIG} and {_WEIGHTS}); fit one, or name its folder") from error
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"the probe in {source} cannot be read ({' '.join(str(error).split())}); fit it again") from error
    if model is not None:
        require_model(probe, model)
    return probe


def require_model(probe: Probe, model: Mapping[str, Any]) -> None:
    """Refuse a probe that was fitted on another model; the same weights under another name are the same model.

    Raises:
        StoreError: the identities differ; every field that does is named.
    """
    wanted = dict(model)
    different = [
        f"{name}: {probe.model.get(name)!r}, not {wanted.get(name)!r}"
        for name in sorted((probe.model.keys() | wanted.keys()) - {"name"})
        if probe.model.get(name) != wanted.get(name)
    ]
    if different:
        raise StoreError(
            f"the probe was fitted on another model, {probe.model.get('name')} ({'; '.join(different)}); fit one on this model's traces"
        )
