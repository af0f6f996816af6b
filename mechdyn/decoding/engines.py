"""Choosing an engine by name."""

from weakref import WeakKeyDictionary

import torch

from mechdyn.decoding.bridge_engine import BridgeEngine
from mechdyn.decoding.engine import Engine
from mechdyn.decoding.fast_engine import FastEngine
from mechdyn.decoding.reference import ReferenceEngine
from mechdyn.errors import InputError
from mechdyn.models.model import Model

NAMES = ("auto", "bridge", "fast")
_AGREEMENT: WeakKeyDictionary[Model, bool] = WeakKeyDictionary()


def make_engine(model: Model, engine: str | Engine = "auto") -> Engine:
    """An engine as given, or by name: `auto` is the fast one where it agrees with the bridge on a probe.

    A `HookedTransformer` has neither; `auto` is the reference engine there.
    """
    if not isinstance(engine, str):
        return engine
    if engine not in NAMES:
        raise InputError(f"engine must be one of {', '.join(NAMES)} or an engine, got {engine!r}")
    if model.twin is None:
        if engine != "auto":
            raise InputError(f"a HookedTransformer runs through the reference engine alone, got engine={engine!r}; leave it at auto")
        return ReferenceEngine(model)
    if engine == "bridge" or (engine == "auto" and not _fast_agrees(model)):
        return BridgeEngine(model)
    return FastEngine(model)


def _fast_agrees(model: Model) -> bool:
    """Whether both engines give the same rows and logits for a few tokens: asked once a model."""
    if model not in _AGREEMENT:
        _AGREEMENT[model] = _probe(model)
    return _AGREEMENT[model]


def _probe(model: Model) -> bool:
    """True for every architecture that goes through transformers' attention interface."""
    prompt, token = torch.arange(6), torch.tensor([3])
    found = []
    for engine in (BridgeEngine(model), FastEngine(model)):
        try:
            output, _ = engine.step(engine.prefill([prompt]), token)
        except (KeyError, TypeError):
            return False
        found.append(output)
    bridge, fast = found
    if not bool(bridge.logits.isfinite().all()):
        return False
    tolerance = 1e-3 if model.dtype == torch.float32 else 5e-2
    if not torch.allclose(bridge.logits.float(), fast.logits.float(), atol=tolerance * float(bridge.logits.abs().max())):
        return False
    return all(torch.allclose(one.float(), two.float(), atol=tolerance) for one, two in zip(bridge.patterns, fast.patterns, strict=True))
