"""Where the batches of a run are carried out: in this process, in several of this machine, or on a Ray cluster.

An executor gives every worker the same call with another item, and hands results over as they come. It knows nothing of units, traces or
folders: what is asked, and what becomes of the results, is the session's.
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from mechdyn.errors import InputError
from mechdyn.models.model import Model
from mechdyn.models.threads import AUTO, ThreadChoice, parse_threads, use_threads
from mechdyn.runs.failure import Failure

if TYPE_CHECKING:
    from mechdyn.runs.worker import Worker

LOCAL, RAY = "local", "ray"
EXECUTORS = (LOCAL, RAY)
Call = Callable[["Worker", Any, Any], Any]
"""A function of a module: worker, item and what all items share. It is found by its name where a worker is another process."""
LOST = "WorkerLost"
"""The kind of a failure that is the worker's death."""
MAX_LOSSES = 3
"""An item that so many workers died of is given up."""


@dataclass(frozen=True, eq=False)
class Finished:
    """What became of an item, the `index`th that was given.

    `lost` says why there is no `result`: the call raised, or every worker that had it died. `seconds` are the worker's, by a clock that
    nobody can set. `losses` counts the workers that died with it before.
    """

    index: int
    result: Any
    worker: str
    seconds: float
    lost: Failure | None = None
    losses: int = 0


@dataclass(frozen=True)
class WorkerState:
    """What a worker is at: the item, for how long, and how long ago it was last heard of; in seconds."""

    name: str
    item: int | None
    seconds: float
    silent: float


@runtime_checkable
class Executor(Protocol):
    """Something that runs calls on workers, each with the same model loaded."""

    @property
    def model(self) -> Model:
        """The workers' model; without its weights (`outline`) where no worker is this process."""
        ...

    @property
    def threads(self) -> ThreadChoice | None:
        """The threads of each worker; None where they are its machine's own affair."""
        ...

    def run(self, call: Call, items: Iterable[Any], shared: Any = None) -> Iterator[Finished]:
        """The outcome of each item, in the order in which they finish; items are drawn as workers become free."""
        ...

    def workers(self) -> list[WorkerState]:
        """What each worker is at; may be asked from another thread."""
        ...

    def close(self) -> None:
        """End the workers."""
        ...


class HereExecutor:
    """One worker: this process."""

    def __init__(self, worker: "Worker") -> None:
        self._worker = worker
        self._at: tuple[int, float] | None = None

    @property
    def model(self) -> Model:
        return self._worker.model

    @property
    def threads(self) -> ThreadChoice:
        return self._worker.threads or use_threads(None, self.model)

    def run(self, call: Call, items: Iterable[Any], shared: Any = None) -> Iterator[Finished]:
        """One item after another."""
        for index, item in enumerate(items):
            started = time.monotonic()
            self._at = (index, started)
            try:
                outcome = attempted(call, self._worker, index, item, shared)
            finally:
                self._at = None
            yield replace(outcome, seconds=time.monotonic() - started)

    def workers(self) -> list[WorkerState]:
        at = self._at
        if at is None:
            return [WorkerState("here", None, 0.0, 0.0)]
        return [WorkerState("here", at[0], time.monotonic() - at[1], 0.0)]

    def close(self) -> None:
        """Nothing is to be ended."""


def make_executor(config: Any, worker: "Worker | None" = None) -> Executor:
    """The executor that a config asks for.

    Args:
        config: a config with the fields of `RunOptions`.
        worker: what runs in this process; loaded where it is needed and left out.

    Raises:
        InputError: an executor that there is not, or options that do not go together; Ray missing or not to be reached.
    """
    check_executor(config)
    from mechdyn.runs.worker import Worker, WorkerOptions  # brings transformers and TransformerLens

    if config.executor == RAY:
        from mechdyn.runs.ray_executor import RayExecutor

        return RayExecutor(config)
    if (config.workers or 1) > 1:
        from mechdyn.runs.processes import ProcessExecutor

        return ProcessExecutor(WorkerOptions.of(config), config.workers)
    if worker is None:
        if sys.stderr.isatty():
            print(f"loading {config.model} ...", file=sys.stderr, flush=True)
        worker = Worker.load(WorkerOptions.of(config))
    return HereExecutor(worker)


def check_executor(config: Any) -> None:
    """Refuse what needs no model to be refused."""
    if config.executor not in EXECUTORS:
        raise InputError(f"executor must be one of {', '.join(EXECUTORS)}, got {config.executor!r}")
    if parse_threads(config.threads) == AUTO and (config.executor == RAY or (config.workers or 1) > 1):
        raise InputError("--threads auto measures one process with the machine to itself; give several workers a number of threads each")
    if config.address is not None and config.executor != RAY:
        raise InputError("--address is that of a Ray cluster; give --executor ray with it, or leave it out")


def outline(model: Model) -> Model:
    """A model without its weights: what plans and samples need of it, small enough to be sent."""
    return replace(model, bridge=None, twin=None)


def attempted(call: Call, worker: "Worker", index: int, item: Any, shared: Any) -> Finished:
    """Make a call; whatever it raises is an outcome too."""
    try:
        return Finished(index, call(worker, item, shared), "here", 0.0)
    except Exception as error:
        return Finished(index, None, "here", 0.0, Failure.of("", f"item {index}", error))
