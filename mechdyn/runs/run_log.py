"""The log of a run: a JSON line for each thing that happened, for people and for `mechdyn status`.

Every line has `time` (UTC, as the machine's clock says), `elapsed` (seconds since this process began the run, by a clock that nobody can
set) and `event`:

    start       the command began or went on: process, version, executor
    stage       units are about to be run: how many, how many of them are there already
    sized       batches hold so many prompt tokens, since a worker has so much memory
    batch       a batch is done: number, traces, seconds, worker
    lost        workers died at a batch: its number, how many; another has run it since, or it failed
    part        traces are in the store
    failure     a unit failed: key, what it is, error, traceback, how often so far
    retry       failures so far no longer count
    heartbeat   what each worker is at, every half minute
    end         the command ended: how
    merged      the log is that of several runs, by `mechdyn merge`
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mechdyn.errors import InputError
from mechdyn.runs.failure import Failure

LOG = "log.jsonl"
MAX_FAILURES = 3
"""A unit that failed so often is set aside: it is not run again until it is asked for by `--retry-failed`."""
HEARTBEAT_SECONDS = 30.0


class RunLog:
    """A log that is appended to; without a path it is kept in memory alone. May be used by several threads."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._failures: dict[str, list[Mapping[str, Any]]] = {}
        self.batch_tokens: int | None = None
        """What `--batch-tokens 0` came to when the run was begun."""
        for event in read_log(path) if path else ():
            self._count(event)

    def write(self, event: str, **facts: Any) -> None:
        """Append a line.

        Raises:
            InputError: the log cannot be written.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"time": now, "elapsed": round(time.monotonic() - self._started, 3), "event": event, **facts}
        with self._lock:
            self._count(line)
            if self.path is not None:
                _append(self.path, line)

    def copy(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Append the lines of other logs as they are."""
        with self._lock:
            for event in events:
                self._count(event)
                if self.path is not None:
                    _append(self.path, event)

    def failed(self, failure: Failure) -> int:
        """Note a failure; how often this has failed by now."""
        times = self.n_failures(failure.key) + 1
        facts = {"key": failure.key, "about": failure.about, "kind": failure.kind, "message": failure.message}
        self.write("failure", **facts, times=times, traceback=failure.traceback)
        return times

    def n_failures(self, key: str) -> int:
        """How often a unit has failed."""
        return len(self._failures.get(key, ()))

    @property
    def failures(self) -> dict[str, Failure]:
        """The last failure of everything that has failed, by key."""
        return {key: _failure(events[-1]) for key, events in self._failures.items()}

    @property
    def set_aside(self) -> dict[str, Failure]:
        """Of those, what is not run again."""
        return {key: failure for key, failure in self.failures.items() if self.n_failures(key) >= MAX_FAILURES}

    @contextmanager
    def heartbeat(self, states: Callable[[], list[Any]], every: float = HEARTBEAT_SECONDS) -> Iterator[None]:
        """Write what the workers are at, time and again, while the block runs."""
        done = threading.Event()

        def beat() -> None:
            while not done.wait(every):
                self.write("heartbeat", workers=[vars(state) for state in states()])

        thread = threading.Thread(target=beat, daemon=True, name="mechdyn-heartbeat")
        if self.path is not None:
            thread.start()
        try:
            yield
        finally:
            done.set()
            if thread.is_alive():
                thread.join()

    def _count(self, event: Mapping[str, Any]) -> None:
        if event.get("event") == "retry":
            self._failures.clear()
        elif event.get("event") == "failure":
            self._failures.setdefault(str(event.get("key")), []).append(event)
        elif event.get("event") == "sized" and self.batch_tokens is None:
            self.batch_tokens = int(event["batch_tokens"])


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log; none where there is none. A line that was cut off by a kill, or damaged, is left out: no result hangs on it."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and isinstance(event.get("event"), str):
            found.append(event)
    return found


def _failure(event: Mapping[str, Any]) -> Failure:
    return Failure(*(str(event.get(name, "")) for name in ("key", "about", "kind", "message", "traceback")))


def _append(path: Path, content: Mapping[str, Any]) -> None:
    """One write a line, on a line of its own even where a kill cut the last one off."""
    try:
        with path.open("ab+") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write(json.dumps(content, ensure_ascii=False).encode() + b"\n")
    except OSError as error:
        raise InputError(f"the log {path} cannot be written ({error.strerror}); name another folder with --out") from error
