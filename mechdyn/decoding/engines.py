"""Choosing an engine by name."""

from dataclasses import replace
from weakref import WeakKeyDictionary

import torch

from mechdyn.decoding.bridge_engine import BridgeEngine
from mechdyn.decoding.cache import to_cache
from mechdyn.decoding.capture import hooked_points
from mechdyn.decoding.engine import Engine
from mechdyn.decoding.fast_engine import FastEngine
from mechdyn.decoding.reference import ReferenceEngine
from mechdyn.decoding.static_engine import StaticEngine
from mechdyn.errors import InputError
from mechdyn.models.model import Model

NAMES = ("auto", "bridge", "fast", "static")
PROVEN = frozenset({"llama", "phi3", "qwen3"})
"""Architectures on which tests hold the fast engine to the bridge and to plain Hugging Face; big models are spared the probe."""
_AGREEMENT: WeakKeyDictionary[Model, bool] = WeakKeyDictionary()


def make_engine(model: Model, engine: str | Engine = "auto") -> Engine:
    """An engine as given, or by name.

    `auto` is the fast one, unless the bridge carries hooks or the model is of an architecture whose probe fails. A `HookedTransformer` has
    neither; `auto` is the reference engine there. `static`, which `auto` never is, is the fast one with steps of fixed shapes.
    """
    if not isinstance(engine, str):
        return engine
    if engine not in NAMES:
        raise InputError(f"engine must be one of {', '.join(NAMES)} or an engine, got {engine!r}")
    if model.twin is None:
        if engine != "auto":
            raise InputError(f"a HookedTransformer runs through the reference engine alone, got engine={engine!r}; leave it at auto")
        return ReferenceEngine(model)
    if engine == "bridge" or (engine == "auto" and (hooked_points(model) or not _fast_agrees(model))):
        return BridgeEngine(model)
    return StaticEngine(model) if engine == "static" else FastEngine(model)


def _fast_agrees(model: Model) -> bool:
    """Whether both engines give the same rows and logits: known of the paper's architectures, for others asked once a model."""
    if model.twin.config.model_type in PROVEN:
        return True
    if model not in _AGREEMENT:
        _AGREEMENT[model] = _probe(model)
    return _AGREEMENT[model]


def _probe(model: Model) -> bool:
    """One step by each engine: equal for every architecture that goes through transformers' attention interface."""
    bridge, fast = BridgeEngine(model), FastEngine(model)
    prompt, token = torch.arange(6), torch.tensor([3])
    try:
        state = fast.prefill([prompt])
        theirs, _ = bridge.step(replace(state, memory=to_cache(state.memory.prompts)), token)
        ours, _ = fast.step(state, token)
    except (KeyError, TypeError, IndexError, ValueError):
        return False
    if not bool(theirs.logits.isfinite().all()):
        return False
    tolerance = 1e-3 if model.dtype == torch.float32 else 5e-2
    if not torch.allclose(theirs.logits.float(), ours.logits.float(), atol=tolerance * float(theirs.logits.abs().max())):
        return False
    return all(torch.allclose(one.float(), two.float(), atol=tolerance) for one, two in zip(theirs.patterns, ours.patterns, strict=True))
