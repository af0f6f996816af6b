"""Tracing one sample into a store of its own."""

from pathlib import Path
from typing import Any

from mechdyn.decoding.ablation import Ablation, ReferenceActivations
from mechdyn.errors import InputError
from mechdyn.heads import RankedHeads, parse_heads_or_file
from mechdyn.models.model import Model
from mechdyn.plans import DETECTION, Plan, Preset, task_units
from mechdyn.runs.configs import TraceConfig
from mechdyn.runs.methods import N_REFERENCES, check_modes, references
from mechdyn.runs.session import Session
from mechdyn.schedules import SCHEDULES, Schedule, Static, schedule_from_spec
from mechdyn.traces.trace import Trace
from mechdyn.traces.unit import Unit

ROLE = "trace"


def trace_one(config: TraceConfig, out: str | Path | None = None) -> tuple[Trace, Path]:
    """Trace the sample, or read its trace where the folder has it already; and the folder."""
    check_modes([config.method], [config.scope])
    if config.off is None and (config.method, config.scope) != ("zero", "position"):
        raise InputError(f"--method {config.method} --scope {config.scope} says how heads are off; say which with --off")
    with Session.open(config, out) as run:
        spec = run.request.task.single(length=config.length, depth=config.depth, seed=config.seed, named=config.sample)
        reference = references(run, [config.method] if config.off else [], lambda: _others(run))
        unit = run.request.unit(spec, _ablation(config, run.model, reference))
        traces = run.traces(Plan({ROLE: (unit,)}), reference=reference)
        return traces[ROLE][0], run.folder


def _others(run: Session) -> tuple[Unit, ...]:
    """Samples of the task's detection part, for reference activations."""
    preset = Preset((run.config.length,), N_REFERENCES, (run.config.depth,))
    return task_units(run.request, preset, DETECTION)


def _ablation(config: TraceConfig, model: Model, reference: ReferenceActivations | None) -> dict[str, Any] | None:
    """The JSON of the ablation that `--off` asks for: a schedule by its spec, heads, or the first of a file of ranked ones."""
    if config.off is None:
        return None
    ablation = Ablation(_schedule(config.off, model), config.method, config.scope, reference=reference, seed=config.seed)
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
