"""One generation in a thread of its own, to be looked at while it runs and to be stopped."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from mechdyn.errors import MechdynError
from mechdyn.traces.effect import Effect
from mechdyn.traces.trace import Trace

OnStep = Callable[[Trace], None]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """How a job stands.

    `stage` is one of waiting (for another job), reading (the prompt), writing, measuring, done, cancelled, failed; `trace` is what there is
    so far, and `effect` what was measured once it was written.
    """

    stage: str = "waiting"
    trace: Trace | None = None
    error: str = ""
    effect: Effect | None = None

    @property
    def ended(self) -> bool:
        return self.stage in ("done", "cancelled", "failed")

    @property
    def n_steps(self) -> int:
        return self.trace.n_steps if self.trace is not None else 0


class Cancelled(Exception):
    """Raised inside a generation to end it."""


class Job:
    """Runs `work(on_step)` and then, if it is given, `measure()` in a thread; jobs that share a lock run one after the other."""

    def __init__(self, work: Callable[[OnStep], Trace], lock: threading.Lock, measure: Callable[[], Effect | None] | None = None) -> None:
        self._work = work
        self._measure = measure
        self._lock = lock
        self._snapshot = Snapshot()
        self._cancel = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def snapshot(self) -> Snapshot:
        """Never half written: snapshots are replaced whole."""
        return self._snapshot

    def cancel(self) -> None:
        """End it: at once while it waits, else before the next token or before it measures. A job that has ended stays as it is."""
        self._cancel.set()

    def wait(self, timeout: float | None = None) -> Snapshot:
        """The last snapshot, once the job has ended or the time (seconds) is up."""
        self._thread.join(timeout)
        return self._snapshot

    def _run(self) -> None:
        try:
            while not self._lock.acquire(timeout=0.05):
                self._stop_if_cancelled()
            try:
                self._stop_if_cancelled()
                self._snapshot = Snapshot("reading")
                written = self._work(self._on_step)
                self._snapshot = Snapshot("done", written) if self._measure is None else self._measured(written, self._measure)
            finally:
                self._lock.release()
        except Cancelled:
            self._snapshot = replace(self._snapshot, stage="cancelled")
        except MechdynError as error:
            self._snapshot = replace(self._snapshot, stage="failed", error=str(error))
        except Exception as error:
            _log.exception("a generation of the app failed")
            self._snapshot = replace(self._snapshot, stage="failed", error=f"{type(error).__name__}: {error} (the terminal shows where)")

    def _measured(self, written: Trace, measure: Callable[[], Effect | None]) -> Snapshot:
        self._snapshot = Snapshot("measuring", written)
        self._stop_if_cancelled()
        return Snapshot("done", written, effect=measure())

    def _on_step(self, trace: Trace) -> None:
        self._snapshot = Snapshot("writing", trace)
        self._stop_if_cancelled()

    def _stop_if_cancelled(self) -> None:
        if self._cancel.is_set():
            raise Cancelled
