"""Running a plan on this machine: what the store lacks is run, in batches, and appended as it comes."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from tqdm import tqdm

from mechdyn.decoding.trace import trace_many
from mechdyn.models.model import Model
from mechdyn.scores import named_score
from mechdyn.tasks.build import build_sample
from mechdyn.traces.store import TraceStore
from mechdyn.traces.trace import Trace
from mechdyn.traces.unit import Unit

_PART = 32
"""Traces a part of the store: what a killed run loses at most."""


def run_units(model: Model, units: Sequence[Unit], store: TraceStore, *, batch_size: int = 8, describe: str = "tracing") -> None:
    """Trace every unit that the store does not hold yet; a killed run goes on where it stopped."""
    present = store.keys()
    missing = [unit for unit in units if unit.key not in present]
    traces = _trace_units(model, missing, batch_size)
    with tqdm(total=len(missing), desc=describe, unit="sample", disable=None, delay=1) as bar:
        while part := list(islice(traces, _PART)):
            store.append(part)
            bar.update(len(part))


def _trace_units(model: Model, units: Sequence[Unit], batch_size: int) -> Iterator[Trace]:
    """Units of one way of decoding run together, those of like length in one batch, so that little is padding."""
    groups: dict[str, list[Unit]] = {}
    for unit in units:
        groups.setdefault(repr(sorted(unit.decoding.items())), []).append(unit)
    for group in groups.values():
        ordered = sorted(group, key=lambda unit: (unit.sample.get("length", 0), unit.key))
        options = dict(ordered[0].decoding)
        score = named_score(options.pop("score"))
        samples = (build_sample(model, unit.sample) for unit in ordered)
        traces = trace_many(model, samples, batch_size=batch_size, score=score.score, threshold=score.threshold, **options)
        for unit, trace in zip(ordered, traces, strict=True):
            yield replace(trace, unit=unit.key)
