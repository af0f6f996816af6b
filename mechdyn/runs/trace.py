"""Tracing one sample into a store of its own."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from mechdyn.decoding.engines import make_engine
from mechdyn.errors import InputError
from mechdyn.models.load import load_model
from mechdyn.models.model import Model
from mechdyn.plans import question_unit
from mechdyn.runs.configs import TraceConfig
from mechdyn.runs.folder import open_run
from mechdyn.runs.local import run_units
from mechdyn.runs.requests import check_choices, haystack_digest, make_request
from mechdyn.runs.stores import open_store
from mechdyn.tasks.build import build_sample
from mechdyn.traces.trace import Trace
from mechdyn.traces.unit import Unit


def trace_one(config: TraceConfig, out: str | Path) -> tuple[Trace, Path]:
    """Trace the sample, or read its trace where the folder has it already."""
    check_choices(config.task, config.style, config.data, config.haystack)
    model = load_model(config.model)
    unit = _needle(model, config) if config.task == "niah" else _question(model, config)
    build_sample(model, unit.sample)
    engine = make_engine(model, config.engine)
    folder = open_run(out, {**asdict(config), "model": model.identity()})
    store = open_store(folder / "traces", model, score=unit.decoding["score"])
    run_units(model, [unit], store, engine=engine)
    return store.load([unit.key])[0], folder


def _needle(model: Model, config: TraceConfig) -> Unit:
    spec: dict[str, Any] = {"task": "niah", "length": config.length, "depth": config.depth, "seed": config.seed}
    if config.haystack is not None:
        spec |= {"haystack": config.haystack, "haystack_digest": haystack_digest(config.haystack)}
    return Unit(model=model.identity(), sample=spec, decoding={"score": "copy_paste", "max_new_tokens": 64})


def _question(model: Model, config: TraceConfig) -> Unit:
    request = make_request(model, task=config.task, style=config.style, data=config.data, seed=config.seed)
    if config.task == "world":
        return question_unit(request, {"task": "world", "length": config.length, "seed": config.seed, "style": request.style})
    name = config.question or request.questions[0]
    if name not in request.questions:
        raise InputError(
            f"question {name!r} is not among the {len(request.questions)} of {config.data} that the model can hold; "
            f"give one of them, such as {request.questions[0]}"
        )
    spec = {"task": config.task, "file": request.data, "file_digest": request.data_digest, "id": name, "style": request.style}
    return question_unit(request, spec)
