"""Running units on this machine: what the store lacks is run, in batches, and appended as it comes."""

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tqdm import tqdm

from mechdyn.contrasts import schedules_of
from mechdyn.decoding.ablation import Ablation, ReferenceActivations, ablation_from_json
from mechdyn.decoding.batches import in_batches
from mechdyn.decoding.effect import trace_effects
from mechdyn.decoding.engine import Engine
from mechdyn.decoding.engines import make_engine
from mechdyn.decoding.generate import TraceOptions
from mechdyn.decoding.trace import trace_conditions
from mechdyn.errors import InputError
from mechdyn.hashing import content_hash
from mechdyn.models.model import Model
from mechdyn.tasks.task import build_sample
from mechdyn.traces.store import TraceStore
from mechdyn.traces.trace import Trace
from mechdyn.traces.unit import EFFECT, Unit

_PART, _PART_SECONDS = 32, 30.0
"""A part is written once so many traces wait, which keeps parts few, or once so many seconds have passed, so that a kill loses little."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Conditions:
    """Units of one sample and one way of decoding that differ only in their ablation, in the order of their ablations' hashes."""

    units: tuple[Unit, ...]
    ablations: tuple[str, ...]

    @property
    def first(self) -> Unit:
        return self.units[0]


def run_units(
    model: Model,
    units: Sequence[Unit],
    store: TraceStore,
    *,
    batch_size: int = 8,
    describe: str = "tracing",
    reference: ReferenceActivations | None = None,
    engine: str | Engine = "auto",
) -> int:
    """Trace every unit that the store does not hold yet; a killed run goes on where it stopped.

    Units that differ only in their ablation run together, from one prefill of their sample. A generation that meets NaN or infinite logits
    is stored as far as it came, with `stopped == "error"`, and the run goes on. Where memory runs out, the rest is run in smaller batches
    with the same results, and a warning says so.

    Args:
        model: what the units name.
        units: each is run once, however often it is named.
        store: where the traces go.
        batch_size: samples generated together, each under all of its ablations.
        describe: what the progress bar says.
        reference: for units with mean or resample ablation.
        engine: as in `trace`.

    Returns:
        How many of the generations run here failed.

    Raises:
        InputError: a unit of another model, or one whose sample or ablation cannot be made; nothing of its batch is stored.
        OutOfMemoryError: one sample alone is too much; what was run before it is stored.
    """
    present = store.keys()
    missing = {unit.key: unit for unit in units if unit.key not in present}
    _require_model(model, missing)
    waiting: list[Trace] = []
    n_failed = 0
    try:
        n_asked = len({unit.key for unit in units})
        if missing and len(missing) < n_asked:
            tqdm.write(f"{describe}: {n_asked - len(missing)} of {n_asked} traces are here already", file=sys.stderr)
        with tqdm(total=n_asked, initial=n_asked - len(missing), desc=describe, unit="trace", disable=None, delay=1) as bar:
            stored = time.monotonic()
            for batch in _trace_batches(model, missing, batch_size, reference, make_engine(model, engine)):
                waiting += batch
                n_failed += sum(trace.stopped == "error" for trace in batch)
                bar.update(len(batch))
                if len(waiting) >= _PART or time.monotonic() - stored > _PART_SECONDS:
                    store.append(waiting)
                    waiting, stored = [], time.monotonic()
    finally:
        # Whatever ended the run, batches that were done are kept.
        if waiting:
            store.append(waiting)
    if n_failed:
        _log.warning("%d of %d generations met NaN or infinite logits and stopped there; they are stored as failed", n_failed, len(missing))
    return n_failed


def _trace_batches(
    model: Model, units: dict[str, Unit], batch_size: int, reference: ReferenceActivations | None, engine: Engine
) -> Iterator[list[Trace]]:
    """Batches of samples that are decoded alike under the same ablations; those of like length together, so that little is padding."""
    groups: dict[tuple[str, ...], list[_Conditions]] = {}
    for conditions in _by_sample(units):
        groups.setdefault((content_hash(dict(conditions.first.decoding)), *conditions.ablations), []).append(conditions)
    alike = (
        sorted(group, key=lambda conditions: (conditions.first.sample.get("length", 0), conditions.first.key)) for group in groups.values()
    )
    yield from in_batches(alike, batch_size, lambda batch: _trace_batch(model, batch, reference, engine))


def _by_sample(units: dict[str, Unit]) -> list[_Conditions]:
    found: dict[str, list[tuple[str, Unit]]] = {}
    for unit in units.values():
        same = content_hash([dict(unit.decoding), dict(unit.sample)])
        found.setdefault(same, []).append((content_hash(dict(unit.ablation)), unit))
    ordered = (sorted(pairs, key=lambda pair: pair[0]) for pairs in found.values())
    return [_Conditions(tuple(unit for _, unit in pairs), tuple(ablation for ablation, _ in pairs)) for pairs in ordered]


def _trace_batch(model: Model, batch: Sequence[_Conditions], reference: ReferenceActivations | None, engine: Engine) -> list[Trace]:
    """Every sample of the batch under every ablation, each trace with its unit's key."""
    first = batch[0]
    if EFFECT in first.first.decoding:
        return _effect_batch(model, batch, engine)
    ablations: dict[str, Ablation | None] = {
        name: ablation_from_json(unit.ablation, model.n_layers, model.n_heads, reference)
        for name, unit in zip(first.ablations, first.units, strict=True)
    }
    options = dict(first.first.decoding)
    samples = [build_sample(model, conditions.first.sample) for conditions in batch]
    found = trace_conditions(model, samples, ablations, engine=engine, **options)
    return [
        replace(traces[name], unit=unit.key, meta=_meta(traces[name]))
        for conditions, traces in zip(batch, found, strict=True)
        for name, unit in zip(conditions.ablations, conditions.units, strict=True)
    ]


def _effect_batch(model: Model, batch: Sequence[_Conditions], engine: Engine) -> list[Trace]:
    """The clean trace of every sample, with the effects that the units ask for along its answer."""
    options = dict(batch[0].first.decoding)
    asked = dict(options.pop(EFFECT))
    if any(unit.ablation for conditions in batch for unit in conditions.units):
        raise InputError("effects are measured along the answer with every head on, and a unit asks for an ablation too; make two of it")
    lags = asked.pop("lags", 0)
    sets = {name: Ablation(schedule) for name, schedule in schedules_of(asked, model.n_layers, model.n_heads).items()}
    samples = [build_sample(model, conditions.first.sample) for conditions in batch]
    found = trace_effects(model, samples, sets, lags=lags, engine=engine, options=TraceOptions.of(**options))
    return [replace(trace, unit=conditions.first.key, meta=_meta(trace)) for conditions, trace in zip(batch, found, strict=True)]


def _meta(trace: Trace) -> dict[str, Any]:
    """The trace's meta; a generation that failed says of what and where."""
    failed = {"error": f"NumericalError: NaN or infinite logits at step {trace.n_steps}"} if trace.stopped == "error" else {}
    return {**trace.meta, **failed}


def _require_model(model: Model, units: dict[str, Unit]) -> None:
    for unit in units.values():
        if dict(unit.model) != model.identity():
            raise InputError(
                f"a unit names the model {unit.model.get('name')!r} (revision {unit.model.get('revision')!r}), this is {model.name!r} "
                f"({model.revision!r}); run it with its own model"
            )
