"""What runs a batch, wherever it lies: a loaded model, and how one bad sample is kept from its neighbours."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from mechdyn.contrasts import schedules_of
from mechdyn.decoding.ablation import Ablation, ReferenceActivations, ablation_from_json
from mechdyn.decoding.batches import in_batches
from mechdyn.decoding.effect import trace_effects
from mechdyn.decoding.engine import Engine
from mechdyn.decoding.engines import make_engine
from mechdyn.decoding.generate import TraceOptions
from mechdyn.decoding.trace import trace_conditions
from mechdyn.errors import InputError, OutOfMemoryError
from mechdyn.models.load import load_model
from mechdyn.models.model import Model
from mechdyn.models.threads import ThreadChoice, parse_threads, use_threads
from mechdyn.runs.batches import Batch, Conditions, singles
from mechdyn.runs.failure import Failure, about
from mechdyn.tasks.task import build_sample
from mechdyn.traces.trace import Trace
from mechdyn.traces.unit import BUDGETS, EFFECT


@dataclass(frozen=True)
class WorkerOptions:
    """How a worker loads its model: plain values, so that they can be sent to another process or machine."""

    model: str
    device: str | None = None
    dtype: str | None = None
    device_map: str | None = None
    engine: str = "auto"
    threads: int | str | None = None

    @classmethod
    def of(cls, config: Any) -> "WorkerOptions":
        """Those of a command's config."""
        return cls(str(config.model), config.device, config.dtype, config.device_map, config.engine, parse_threads(config.threads))


@dataclass(eq=False)
class Worker:
    """A loaded model and its engine; `largest` is how many samples memory was found to hold together, None where it never ran out.

    `threads` is what it was loaded for; None where whoever made it left them as they were.
    """

    model: Model
    engine: Engine
    largest: int | None = None
    threads: ThreadChoice | None = None

    @classmethod
    def load(cls, options: WorkerOptions) -> "Worker":
        """A worker with a model of its own."""
        model = load_model(options.model, device=options.device, dtype=options.dtype, device_map=options.device_map)
        threads = use_threads(options.threads, model)
        return cls(model, make_engine(model, options.engine), threads=threads)


@dataclass(frozen=True, eq=False)
class BatchResult:
    """What became of a batch: a trace or a failure for each of its units."""

    traces: tuple[Trace, ...]
    failures: tuple[Failure, ...] = ()


def trace_batch(worker: Worker, batch: Batch, reference: ReferenceActivations | None) -> BatchResult:
    """Trace a batch. Where it fails as a whole, it is divided until what fails stands alone.

    Where memory runs out, this batch and all that this worker runs later go in smaller pieces, and a warning says so.
    """
    found = _Found(worker, reference)
    # With units set aside, the others run as they did when those failed: alone.
    pieces = [[sample] for sample in batch.samples] if batch.aside else [batch.samples]
    for _ in in_batches(pieces, worker.largest or len(batch.samples), partial(_without, batch.aside, found.run)):
        pass
    return BatchResult(tuple(found.traces), tuple(found.failures))


@dataclass(eq=False)
class _Found:
    """What a batch has come to so far.

    A function inside `trace_batch` that calls itself would keep the traces until Python next searches for garbage, which is seldom.
    """

    worker: Worker
    reference: ReferenceActivations | None
    traces: list[Trace] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def run(self, samples: Sequence[Conditions]) -> None:
        """Run samples together, or where they fail divided."""
        try:
            self.traces.extend(_traced(self.worker, samples, self.reference))
        except Exception as error:
            if isinstance(error, OutOfMemoryError) and len(samples) > 1:
                self.worker.largest = len(samples) // 2
                raise
            if len(samples) == 1 and len(samples[0].units) == 1:
                unit = samples[0].first
                self.failures.append(Failure.of(unit.key, about(unit.sample), error))
                return
            for single in singles(samples):
                self.run([single])


def _without(aside: Collection[str], run: Callable[[Sequence[Conditions]], None], samples: Sequence[Conditions]) -> None:
    """Run samples; of one with units that are set aside each of the others."""
    if not any(unit.key in aside for sample in samples for unit in sample.units):
        run(samples)
        return
    for single in singles(samples):
        if single.first.key not in aside:
            run([single])


def _traced(worker: Worker, samples: Sequence[Conditions], reference: ReferenceActivations | None) -> list[Trace]:
    """Every sample under every ablation, each trace with its unit's key."""
    model, first = worker.model, samples[0]
    if EFFECT in first.first.decoding:
        return _effects(worker, samples)
    if BUDGETS in first.first.decoding:
        return _budgets(worker, samples)
    ablations: dict[str, Ablation | None] = {
        name: ablation_from_json(unit.ablation, model.n_layers, model.n_heads, reference)
        for name, unit in zip(first.ablations, first.units, strict=True)
    }
    built = [build_sample(model, conditions.first.sample) for conditions in samples]
    found = trace_conditions(model, built, ablations, engine=worker.engine, **dict(first.first.decoding))
    return [
        replace(traces[name], unit=unit.key, meta=_meta(traces[name]))
        for conditions, traces in zip(samples, found, strict=True)
        for name, unit in zip(conditions.ablations, conditions.units, strict=True)
    ]


def _effects(worker: Worker, samples: Sequence[Conditions]) -> list[Trace]:
    """The clean trace of every sample, with the effects that the units ask for along its answer."""
    model, options = worker.model, dict(samples[0].first.decoding)
    asked = dict(options.pop(EFFECT))
    if any(unit.ablation for conditions in samples for unit in conditions.units):
        raise InputError("effects are measured along the answer with every head on, and a unit asks for an ablation too; make two of it")
    lags = asked.pop("lags", 0)
    sets = {name: Ablation(schedule) for name, schedule in schedules_of(asked, model.n_layers, model.n_heads).items()}
    built = [build_sample(model, conditions.first.sample) for conditions in samples]
    found = trace_effects(model, built, sets, lags=lags, engine=worker.engine, options=TraceOptions.of(**options))
    return [replace(trace, unit=conditions.first.key, meta=_meta(trace)) for conditions, trace in zip(samples, found, strict=True)]


def _budgets(worker: Worker, samples: Sequence[Conditions]) -> list[Trace]:
    """The clean trace of every sample, with what the caches that the units ask for do along its answer."""
    from mechdyn.improve.budgets.measure import BudgetSetting, trace_budgets

    model, options = worker.model, dict(samples[0].first.decoding)
    setting = BudgetSetting.from_json(options.pop(BUDGETS), model.n_layers, model.n_heads)
    if any(unit.ablation for conditions in samples for unit in conditions.units):
        raise InputError("caches are tried on the answer with every head on, and a unit asks for an ablation too; make two of it")
    built = [build_sample(model, conditions.first.sample) for conditions in samples]
    found = trace_budgets(model, built, setting, engine=worker.engine, options=TraceOptions.of(**options))
    return [replace(trace, unit=conditions.first.key, meta=_meta(trace)) for conditions, trace in zip(samples, found, strict=True)]


def _meta(trace: Trace) -> dict[str, Any]:
    """The trace's meta; a generation that failed says of what and where."""
    failed = {"error": f"NumericalError: NaN or infinite logits at step {trace.n_steps}"} if trace.stopped == "error" else {}
    return {**trace.meta, **failed}
