"""Tracing one sample into a store of its own."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mechdyn.models.load import load_model
from mechdyn.sweep.local import run_units
from mechdyn.sweep.requests import haystack_digest
from mechdyn.sweep.run_folder import open_run
from mechdyn.sweep.stores import open_store
from mechdyn.tasks.build import build_sample
from mechdyn.traces.trace import Trace
from mechdyn.traces.unit import Unit


@dataclass(frozen=True)
class TraceConfig:
    """What `mechdyn trace` was asked."""

    model: str = "mini"
    length: int = 512
    depth: float = 0.5
    seed: int = 0
    haystack: str | None = None


def trace_one(config: TraceConfig, out: str | Path) -> tuple[Trace, Path]:
    """Trace the sample, or read its trace where the folder has it already."""
    model = load_model(config.model)
    spec: dict[str, Any] = {"task": "niah", "length": config.length, "depth": config.depth, "seed": config.seed}
    if config.haystack is not None:
        spec |= {"haystack": config.haystack, "haystack_digest": haystack_digest(config.haystack)}
    build_sample(model, spec)
    unit = Unit(model=model.identity(), sample=spec, decoding={"score": "copy_paste", "max_new_tokens": 64})
    folder = open_run(out, {**asdict(config), "model": model.identity()})
    store = open_store(folder / "traces", model)
    run_units(model, [unit], store)
    return store.load([unit.key])[0], folder
