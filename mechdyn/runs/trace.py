"""Tracing one sample into a store of its own."""

from pathlib import Path
from typing import Any

from mechdyn.decoding.ablation import Ablation
from mechdyn.errors import InputError
from mechdyn.heads import RankedHeads, parse_heads_or_file
from mechdyn.models.model import Model
from mechdyn.plans import Plan
from mechdyn.runs.configs import TraceConfig
from mechdyn.runs.session import Session
from mechdyn.schedules import SCHEDULES, Schedule, Static, schedule_from_spec
from mechdyn.traces.trace import Trace

ROLE = "trace"


def trace_one(config: TraceConfig, out: str | Path | None = None) -> tuple[Trace, Path]:
    """Trace the sample, or read its trace where the folder has it already; and the folder."""
    with Session.open(config, out) as run:
        spec = run.request.task.single(length=config.length, depth=config.depth, seed=config.seed, named=config.sample)
        unit = run.request.unit(spec, _ablation(config.off, run.model))
        traces = run.traces(Plan({ROLE: (unit,)}))
        return traces[ROLE][0], run.folder


def _ablation(off: str | None, model: Model) -> dict[str, Any] | None:
    """The JSON of the ablation that `--off` asks for: a schedule by its spec, heads, or the first of a file of ranked ones."""
    if off is None:
        return None
    ablation = Ablation(_schedule(off, model))
    ablation.check(model)
    return ablation.as_json()


def _schedule(off: str, model: Model) -> Schedule:
    shape = (model.n_layers, model.n_heads)
    if off.partition(":")[0] in SCHEDULES.names():
        return schedule_from_spec(off, *shape)
    chosen = parse_heads_or_file(off)
    if isinstance(chosen, RankedHeads):
        raise InputError(f"{off} ranks all heads and does not say how many to switch off; give the first of them, such as {off}:top=20")
    return Static(chosen.fit(*shape))
