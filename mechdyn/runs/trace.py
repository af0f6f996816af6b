"""Tracing one sample into a store of its own."""

from pathlib import Path

from mechdyn.plans import Plan
from mechdyn.runs.configs import TraceConfig
from mechdyn.runs.session import Session
from mechdyn.traces.trace import Trace

ROLE = "trace"


def trace_one(config: TraceConfig, out: str | Path | None = None) -> tuple[Trace, Path]:
    """Trace the sample, or read its trace where the folder has it already; and the folder."""
    with Session.open(config, out) as run:
        spec = run.request.task.single(length=config.length, depth=config.depth, seed=config.seed, named=config.sample)
        traces = run.traces(Plan({ROLE: (run.request.unit(spec),)}))
        return traces[ROLE][0], run.folder
