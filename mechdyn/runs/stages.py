"""Running a plan that unfolds: what is run next may depend on what came out."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mechdyn.decoding.ablation import ReferenceActivations
from mechdyn.decoding.engine import Engine
from mechdyn.models.model import Model
from mechdyn.plans import NO_TRACES, Plan
from mechdyn.runs.folder import write_json
from mechdyn.runs.local import run_units
from mechdyn.traces.store import TraceStore
from mechdyn.traces.trace import Trace

Traces = Mapping[str, Sequence[Trace]]
ROLES = "traces.json"
"""The file beside `traces/` that lists each role's units by key."""


def run_stages(
    plan: Callable[[Traces], Plan],
    model: Model,
    store: TraceStore,
    *,
    batch_size: int = 8,
    describe: str = "tracing",
    reference: ReferenceActivations | None = None,
    engine: str | Engine = "auto",
    record: Path | None = None,
) -> Traces:
    """Ask for roles, run the new ones together, show what came out and ask again, until nothing new is named.

    `record` is a file that each role's keys are written to before they are run: by it the traces can be judged again without a model.

    Returns:
        The traces of every role, in the order of its units.
    """
    traces = dict(NO_TRACES)
    keys: dict[str, list[str]] = {}
    while new := {role: units for role, units in plan(traces).roles.items() if role not in traces}:
        keys |= {role: [unit.key for unit in units] for role, units in new.items()}
        if record is not None:
            write_json(record, keys)
        label = next(iter(new)) if len(new) == 1 else f"{len(new)} roles"
        run_units(model, Plan(new).units, store, batch_size=batch_size, describe=f"{describe}: {label}", reference=reference, engine=engine)
        traces |= {role: store.load(keys[role]) for role in new}
    return traces
