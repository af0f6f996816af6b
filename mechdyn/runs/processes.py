"""Several worker processes on this machine, each with a model of its own.

A process that dies takes one item with it: another is started, and the item is run again. Processes talk over pipes of their own; what
goes over them is pickled by this program and read by this program, never from a file or another machine. A driver that is killed closes
its pipes, which ends its workers.
"""

import multiprocessing
import pickle
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

from mechdyn.errors import RunError
from mechdyn.models.model import Model
from mechdyn.models.threads import ASKED, DEFAULT, ThreadChoice, usable_cores
from mechdyn.runs.executors import LOST, MAX_LOSSES, Call, Finished, WorkerState, attempted, outline
from mechdyn.runs.failure import Failure
from mechdyn.runs.worker import Worker, WorkerOptions

_BEAT_SECONDS = 5.0


class ProcessExecutor:
    """`n` processes; started when they are made, and ended by `close`."""

    def __init__(self, options: WorkerOptions, n: int) -> None:
        """Start the processes and wait until the first has loaded its model.

        Raises:
            MechdynError: the model cannot be loaded.
        """
        self._options = options
        self._processes: list[_Process] = []
        # More threads than cores only wait for one another.
        share = max(1, min(torch.get_num_threads(), usable_cores() // n))
        self._threads = options.threads if isinstance(options.threads, int) else share
        try:
            self._processes = [_Process.started(options, f"process {number}", self._threads) for number in range(n)]
            self._model = self._processes[0].loaded()
        except BaseException:
            self.close()
            raise

    @property
    def model(self) -> Model:
        return self._model

    @property
    def threads(self) -> ThreadChoice:
        """Those of each process."""
        return ThreadChoice(self._threads, DEFAULT if self._options.threads is None else ASKED, cores=usable_cores())

    def run(self, call: Call, items: Iterable[Any], shared: Any = None) -> Iterator[Finished]:
        """Items go to whichever process is free; one that dies is replaced, and its item comes first again."""
        again: list[tuple[int, Any]] = []
        losses: dict[int, int] = {}
        waiting = enumerate(items)
        common = pickle.dumps(shared)
        for process in self._processes:
            process.knows = None
        while True:
            for process in self._processes:
                if process.item is None and (given := again.pop(0) if again else next(waiting, None)) is not None:
                    process.give(call, given, common)
            busy = [process for process in self._processes if process.item is not None]
            if not busy:
                return
            for process in _ready(busy):
                outcome = process.outcome()
                if outcome is not None:
                    yield replace(outcome, losses=losses.get(outcome.index, 0))
                elif process.dead:
                    index, item = process.item or (0, None)
                    losses[index] = losses.get(index, 0) + 1
                    code = process.exit_code
                    self._replace(process)
                    if losses[index] < MAX_LOSSES:
                        again.append((index, item))
                        continue
                    reason = f"every worker that ran it died ({losses[index]} of them, the last with exit code {code})"
                    yield Finished(index, None, process.name, 0.0, Failure("", f"item {index}", LOST, reason, ""), losses[index])

    def workers(self) -> list[WorkerState]:
        return [process.state() for process in self._processes]

    def close(self) -> None:
        """End the processes, at once: what they were at is not wanted."""
        for process in self._processes:
            process.end()

    def _replace(self, process: "_Process") -> None:
        process.end()
        self._processes[self._processes.index(process)] = _Process.started(self._options, process.name, self._threads)


@dataclass(eq=False)
class _Process:
    """One worker process, seen from the driver."""

    name: str
    process: Any
    pipe: Connection
    item: tuple[int, Any] | None = None
    since: float = 0.0
    heard: float = 0.0
    knows: bytes | None = None
    dead: bool = False

    @classmethod
    def started(cls, options: WorkerOptions, name: str, threads: int) -> "_Process":
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, options, threads), daemon=True, name=f"mechdyn {name}")
        process.start()
        theirs.close()
        return cls(name, process, ours, heard=time.monotonic())

    @property
    def exit_code(self) -> int | None:
        self.process.join(5)
        return self.process.exitcode

    def loaded(self) -> Model:
        """The outline of the model that it has loaded.

        Raises:
            MechdynError: it could not load it.
        """
        while not self.dead:
            kind, content = self._receive()
            if kind == "model":
                return content
            if kind == "refused":
                raise content.error()
        raise RunError(
            f"a worker process died while it loaded the model (exit code {self.exit_code}); take fewer --workers, or look at memory"
        )

    def give(self, call: Call, item: tuple[int, Any], shared: bytes) -> None:
        self.item, self.since = item, time.monotonic()
        with suppress(OSError):  # a dead process is found by its silence
            if self.knows is not shared:
                self.pipe.send_bytes(pickle.dumps(("shared", shared)))
                self.knows = shared
            self.pipe.send_bytes(pickle.dumps(("run", (call, *item))))

    def outcome(self) -> Finished | None:
        """The next outcome that has come; None where something else has, or the process has died."""
        kind, content = self._receive()
        if kind == "refused":
            raise content.error()
        if kind != "outcome":
            return None
        self.item = None
        return replace(content, worker=self.name)

    def state(self) -> WorkerState:
        now, item = time.monotonic(), self.item
        return WorkerState(self.name, item[0] if item else None, now - self.since if item else 0.0, now - self.heard)

    def end(self) -> None:
        self.process.kill()
        self.process.join(5)
        self.pipe.close()

    def _receive(self) -> tuple[str, Any]:
        try:
            kind, content = pickle.loads(self.pipe.recv_bytes())
        except (EOFError, OSError):
            self.dead = True
            return "dead", None
        self.heard = time.monotonic()
        return kind, content


def _ready(busy: list[_Process]) -> list[_Process]:
    ready = wait([process.pipe for process in busy])
    return [process for process in busy if process.pipe in ready]


def _serve(pipe: Connection, options: WorkerOptions, threads: int) -> None:
    """A worker process: load, then run what comes, until the pipe is closed."""
    torch.set_num_threads(threads)
    lock = threading.Lock()

    def send(kind: str, content: Any = None) -> None:
        message = pickle.dumps((kind, content))
        with lock:
            pipe.send_bytes(message)

    with suppress(EOFError, OSError, KeyboardInterrupt):
        try:
            worker = Worker.load(options)
        except Exception as error:
            send("refused", Failure.of("", "the model", error))
            return
        send("model", outline(worker.model))
        threading.Thread(target=_beat, args=(send,), daemon=True).start()
        shared: Any = None
        while True:
            kind, content = pickle.loads(pipe.recv_bytes())
            if kind == "shared":
                shared = pickle.loads(content)
                continue
            call, index, item = content
            started = time.monotonic()
            outcome = attempted(call, worker, index, item, shared)
            send("outcome", replace(outcome, seconds=time.monotonic() - started))


def _beat(send: Callable[[str], None]) -> None:
    with suppress(OSError):
        while True:
            time.sleep(_BEAT_SECONDS)
            send("beat")
