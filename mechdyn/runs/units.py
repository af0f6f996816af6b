"""Running the units of a plan: what the store lacks goes to the executor in batches, and comes back to the store and the log."""

import logging
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tqdm import tqdm

from mechdyn.errors import InputError, RunError
from mechdyn.models.model import Model
from mechdyn.models.together import Tokens
from mechdyn.runs.batches import BY_TOKENS, Batch, Conditions, batches_of
from mechdyn.runs.executors import Executor, Finished
from mechdyn.runs.failure import Failure, about
from mechdyn.runs.run_log import MAX_FAILURES, RunLog
from mechdyn.traces.store import TraceStore
from mechdyn.traces.trace import Trace
from mechdyn.traces.unit import Unit

if TYPE_CHECKING:
    from mechdyn.decoding.ablation import ReferenceActivations
    from mechdyn.runs.worker import BatchResult

PART, PART_SECONDS = 128, 30.0
"""A part is written once so many traces wait, which keeps parts few, or once so many seconds have passed, so that a kill loses little."""
_HOPELESS = 24
"""Where so many units have failed and none has not, the rest is not tried."""
_log = logging.getLogger(__name__)


def run_units(
    executor: Executor,
    units: Sequence[Unit],
    store: TraceStore,
    *,
    batch_size: int | Tokens = BY_TOKENS,
    describe: str = "tracing",
    reference: "ReferenceActivations | None" = None,
    log: RunLog | None = None,
    fail_fast: bool = False,
) -> int:
    """Trace every unit that the store does not hold yet; a killed run goes on where it stopped.

    Units that differ only in their ablation run together, from one prefill of their sample. A generation that meets NaN or infinite logits
    is stored as far as it came, with `stopped == "error"`. A unit that raises is noted in the log and on the screen and tried again when
    the others are done; after three failures it is set aside. The run goes on in either case. Where memory runs out, batches are divided,
    and a warning says so.

    Args:
        executor: what runs them, with the model that the units name.
        units: each is run once, however often it is named.
        store: where the traces go.
        batch_size: samples generated together, each under all of its ablations, or as many as so many `Tokens` of prompt hold. Batches
            are those of the whole plan, whatever of it is stored: one of which anything is missing is run whole.
        describe: what the progress bar says.
        reference: for units with mean or resample ablation.
        log: the run's.
        fail_fast: raise the first failure instead of going on.

    Returns:
        How many of the generations run here stopped at NaN or infinite logits.

    Raises:
        InputError: a unit of another model.
        MechdynError: with `fail_fast`, or where every unit fails: the first failure. What was run before it is stored.
    """
    run = _Run(store, log or RunLog(), describe, fail_fast, {unit.key: unit for unit in units})
    _require_model(executor.model, run.wanted)
    batches = batches_of(run.wanted.values(), batch_size)
    aside = run.log.set_aside
    missing = run.wanted.keys() - store.keys()
    run.announce(len(missing))
    try:
        with (
            tqdm(total=len(run.wanted), initial=len(run.wanted) - len(missing), desc=describe, unit="trace", disable=None, delay=1) as bar,
            run.log.heartbeat(executor.workers),
        ):
            todo = [batch.without(aside) for batch in batches if batch.lacks(run.present | aside.keys())]
            while todo:
                for batch, outcome in _outcomes(executor, todo, reference):
                    bar.update(run.take(batch, outcome))
                run.require_hope()
                todo = run.again()
    finally:
        # Whatever ended the run, batches that were done are kept.
        run.flush()
    run.conclude()
    return run.n_broken


def _outcomes(executor: Executor, batches: Sequence[Batch], reference: "ReferenceActivations | None") -> Iterator[tuple[Batch, Finished]]:
    from mechdyn.runs.worker import trace_batch

    return ((batches[outcome.index], outcome) for outcome in executor.run(trace_batch, batches, reference))


@dataclass(eq=False)
class _Run:
    """One call of `run_units`: what it was asked, and what has come back and is not stored yet."""

    store: TraceStore
    log: RunLog
    describe: str
    fail_fast: bool
    wanted: Mapping[str, Unit]
    waiting: list[Trace] = field(default_factory=list)
    n_done: int = 0
    n_broken: int = 0
    stored_at: float = field(default_factory=time.monotonic)
    first: Failure | None = None
    failed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.present = set(self.store.keys())

    def announce(self, n_missing: int) -> None:
        n_asked = len(self.wanted)
        self.log.write("stage", name=self.describe, units=n_asked, present=n_asked - n_missing)
        if n_missing < n_asked:
            there = f"{n_asked - n_missing} of {n_asked}" if n_missing else f"all {n_asked}"
            tqdm.write(f"{self.describe}: {there} traces are here already", file=sys.stderr)

    def take(self, batch: Batch, outcome: Finished) -> int:
        """Keep what came of a batch; how many traces were lacking."""
        if outcome.losses:
            self._died(batch, outcome)
        result = outcome.result if outcome.lost is None else _lost(batch, outcome.lost)
        new = [trace for trace in result.traces if trace.unit in self.wanted and trace.unit not in self.present]
        self.log.write("batch", number=batch.number, traces=len(new), seconds=round(outcome.seconds, 3), worker=outcome.worker)
        self.waiting += new
        self.present |= {trace.unit for trace in new}
        self.failed -= self.present
        self.n_done += len(new)
        self.n_broken += sum(trace.stopped == "error" for trace in new)
        for failure in result.failures:
            if failure.key not in self.present:
                self._failed(failure)
        if len(self.waiting) >= PART or time.monotonic() - self.stored_at > PART_SECONDS:
            self.flush()
        return len(new)

    def _died(self, batch: Batch, outcome: Finished) -> None:
        self.log.write("lost", number=batch.number, times=outcome.losses)
        died = "a worker" if outcome.losses == 1 else f"{outcome.losses} workers"
        tqdm.write(f"{self.describe}: {died} died at batch {batch.number}, and it was given to another", file=sys.stderr)

    def _failed(self, failure: Failure) -> None:
        times = self.log.failed(failure)
        where = f"; its traceback is in {self.log.path}" if self.log.path else ""
        tqdm.write(f"{self.describe}: failed {times} of {MAX_FAILURES} times, {failure.about}: {failure}{where}", file=sys.stderr)
        self.first = self.first or failure
        self.failed.add(failure.key)
        if self.fail_fast:
            raise failure.error()
        if len(self.failed) >= _HOPELESS:
            self.require_hope()

    def require_hope(self) -> None:
        """Give up where everything fails: that is no unit's fault."""
        if self.first is not None and not self.n_done and not self.present & self.wanted.keys():
            raise self.first.error()

    def again(self) -> list[Batch]:
        """What failed and is not set aside yet, each unit alone."""
        found = [self.wanted[key] for key in self.wanted if key in self.failed and self.log.n_failures(key) < MAX_FAILURES]
        return [Batch(number, (Conditions((unit,), ("alone",)),)) for number, unit in enumerate(found)]

    def flush(self) -> None:
        """Store what waits."""
        if self.waiting:
            self.store.append(self.waiting)
            self.log.write("part", traces=len(self.waiting))
        self.waiting, self.stored_at = [], time.monotonic()

    def conclude(self) -> None:
        """Say what is not as it was asked for."""
        aside = [key for key in self.wanted if key in self.log.set_aside and key not in self.present]
        if aside and not self.present & self.wanted.keys():
            last = self.log.set_aside[aside[0]]
            raise RunError(f"all {len(aside)} units failed {MAX_FAILURES} times, {last.about}: {last}; --retry-failed tries them again")
        if self.n_broken:
            _log.warning(
                "%d of %d generations met NaN or infinite logits and stopped there; they are stored as failed", self.n_broken, self.n_done
            )
        if aside:
            _log.warning("%d of %d units failed %d times and are set aside", len(aside), len(self.wanted), MAX_FAILURES)


def _lost(batch: Batch, failure: Failure) -> "BatchResult":
    """What a batch comes to whose workers died: each of its units has failed."""
    each = (Failure(unit.key, about(unit.sample), failure.kind, failure.message, failure.traceback) for unit in batch.units)
    from mechdyn.runs.worker import BatchResult

    return BatchResult((), tuple(each))


def _require_model(model: Model, units: Mapping[str, Unit]) -> None:
    identity = model.identity()
    for unit in units.values():
        if dict(unit.model) != identity:
            raise InputError(
                f"a unit names the model {unit.model.get('name')!r} (revision {unit.model.get('revision')!r}), this is {model.name!r} "
                f"({model.revision!r}); run it with its own model"
            )
