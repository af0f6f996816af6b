"""Workers on a Ray cluster: each an actor that holds a loaded model. Ray restarts actors that die, on another node where need be.

The item that an actor had when it died is given to whichever actor is free: Ray by itself would give it to the same one again, which may
have no node to come back on.

Ray is an extra: `pip install 'mechdyn[cluster]'`. Its processes trust one another: whoever can reach a cluster's ports can run code on it.
A cluster that this starts listens on loopback alone.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from mechdyn.errors import InputError, RunError
from mechdyn.models.model import Model
from mechdyn.models.threads import ThreadChoice
from mechdyn.runs.executors import LOST, MAX_LOSSES, Call, Finished, WorkerState, attempted, outline
from mechdyn.runs.failure import Failure
from mechdyn.runs.ray_resources import Resources, batch_tokens, resources_of
from mechdyn.runs.worker import Worker, WorkerOptions

_POLL_SECONDS = 5.0
_START_SECONDS = 600.0


class RayExecutor:
    """Actors on a cluster that runs already (`--address`), or on one that is started on this machine and ended with the command."""

    def __init__(self, config: Any) -> None:
        """Reach the cluster, start the actors and wait until the first has loaded its model.

        Raises:
            InputError: Ray is not installed, or there is no cluster at the address.
            MechdynError: the model cannot be loaded.
        """
        self._ray = _ray()
        self._started = not self._ray.is_initialized()
        options = WorkerOptions.of(config)
        self._threads = options.threads
        try:
            if self._started:
                _connect(self._ray, config.address)
            resources = resources_of(options, batch_tokens(config), self._ray.cluster_resources())
            n = config.workers or _room(self._ray, resources)
            self._actors = [_Slot(self._ray, options, resources, f"actor {number}") for number in range(n)]
            self._model = self._loaded()
        except BaseException:
            self.close()
            raise

    @property
    def model(self) -> Model:
        return self._model

    @property
    def threads(self) -> ThreadChoice | None:
        return ThreadChoice(self._threads) if isinstance(self._threads, int) else None

    def run(self, call: Call, items: Iterable[Any], shared: Any = None) -> Iterator[Finished]:
        """An item at a time for each actor. One that is lost gets no item until Ray has it back; its item goes to another."""
        ray, waiting = self._ray, enumerate(items)
        common = ray.put(shared)
        again: list[tuple[int, Any]] = []
        losses: dict[int, int] = {}
        pending: dict[Any, tuple[_Slot, tuple[int, Any] | None]] = {}
        # No item waits for an actor that has no room yet, or never gets any.
        free = [slot for slot in self._actors if slot.there]
        pending |= {slot.ask(): (slot, None) for slot in self._actors if not slot.there}
        while True:
            while free and (given := again.pop(0) if again else next(waiting, None)) is not None:
                slot = free.pop(0)
                pending[slot.give(call, given, common)] = slot, given
            if not again and not any(given for _, given in pending.values()):
                return
            for reference in self._ready(pending):
                slot, given = pending.pop(reference)
                if given is None:
                    free += [slot] if slot.is_back(reference) else []
                    continue
                outcome = slot.outcome(reference, given[0])
                if outcome.lost is None or outcome.lost.kind != LOST:
                    free.append(slot)
                    yield replace(outcome, losses=losses.get(given[0], 0))
                    continue
                slot.there = False
                pending[slot.ask()] = slot, None
                losses[given[0]] = losses.get(given[0], 0) + 1
                if losses[given[0]] < MAX_LOSSES:
                    again.append(given)
                else:
                    yield replace(outcome, losses=losses[given[0]])

    def _ready(self, pending: Mapping[Any, Any]) -> list[Any]:
        """The next that have come.

        Raises:
            RunError: every actor is lost, and none has come back for long.
        """
        waited = 0.0
        while True:
            ready, _ = self._ray.wait(list(pending), num_returns=1, timeout=_POLL_SECONDS)
            waited += _POLL_SECONDS
            if ready:
                return list(ready)
            if waited > _START_SECONDS and not any(given for _, given in pending.values()):
                raise RunError(f"every actor is lost, and none came back in {_START_SECONDS:.0f} s; mend the cluster, then run again")

    def workers(self) -> list[WorkerState]:
        return [slot.state() for slot in self._actors]

    def close(self) -> None:
        """End the actors; and the cluster, or the connection to it, where this made it."""
        for slot in getattr(self, "_actors", []):
            slot.end()
        if self._started:
            self._ray.shutdown()

    def _loaded(self) -> Model:
        ray = self._ray
        references = [slot.actor.loaded.remote() for slot in self._actors]
        ready, _ = ray.wait(references, num_returns=1, timeout=_START_SECONDS)
        if not ready:
            raise RunError(
                f"no actor could be started in {_START_SECONDS:.0f} s: the cluster lacks the room for one ({self._actors[0].resources})"
            )
        try:
            found = ray.get(ready[0])
        except ray.exceptions.RayError as error:
            raise RunError(f"an actor died while it loaded the model ({_line(error)})") from error
        if isinstance(found, Failure):
            raise found.error()
        self._actors[references.index(ready[0])].there = True
        return found


class _Actor:
    """What runs within an actor."""

    def __init__(self, options: WorkerOptions) -> None:
        self._worker: Worker | Failure
        try:
            self._worker = Worker.load(options)
        except Exception as error:
            self._worker = Failure.of("", "the model", error)

    def loaded(self) -> Any:
        """The outline of the model, or why there is none."""
        return self._worker if isinstance(self._worker, Failure) else outline(self._worker.model)

    def run(self, call: Call, index: int, item: Any, shared: Any) -> Finished:
        """One item."""
        if isinstance(self._worker, Failure):
            return Finished(index, None, "", 0.0, self._worker)
        started = time.monotonic()
        return replace(attempted(call, self._worker, index, item, shared), seconds=time.monotonic() - started)


class _Slot:
    """An actor seen from the driver, and what it is at."""

    def __init__(self, ray: Any, options: WorkerOptions, resources: Resources, name: str) -> None:
        self.name, self.resources = name, resources
        self.there = False
        self._ray = ray
        self._item: tuple[int, float] | None = None
        asked = {"num_cpus": resources.num_cpus, "num_gpus": resources.num_gpus}
        if resources.memory is not None:
            asked["memory"] = resources.memory
        kind = ray.remote(max_restarts=-1, max_task_retries=0, **asked)(_Actor)
        self.actor = kind.remote(options)

    def give(self, call: Call, item: tuple[int, Any], shared: Any) -> Any:
        self._item = (item[0], time.monotonic())
        return self.actor.run.remote(call, *item, shared)

    def outcome(self, reference: Any, index: int) -> Finished:
        """What became of an item; lost where the actor died with it."""
        self._item = None
        try:
            return replace(self._ray.get(reference), worker=self.name)
        except self._ray.exceptions.RayError as error:
            return Finished(index, None, self.name, 0.0, Failure("", f"item {index}", LOST, _line(error), ""))

    def ask(self) -> Any:
        """Ask an actor whether it is there; it answers once Ray has brought it back."""
        return self.actor.loaded.options(max_task_retries=-1).remote()

    def is_back(self, reference: Any) -> bool:
        """Whether it said so; one that Ray has given up for good never does."""
        try:
            self.there = not isinstance(self._ray.get(reference), Failure)
        except self._ray.exceptions.RayError:
            self.there = False
        return self.there

    def state(self) -> WorkerState:
        item = self._item
        return WorkerState(self.name, item[0] if item else None, time.monotonic() - item[1] if item else 0.0, 0.0)

    def end(self) -> None:
        try:
            self._ray.kill(self.actor)
        except (self._ray.exceptions.RayError, ValueError):
            return


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise InputError("--executor ray needs Ray; install it with: pip install 'mechdyn[cluster]'") from error
    return ray


def _connect(ray: Any, address: str | None) -> None:
    """Join the cluster at the address; without one start one here, on loopback, without dashboard or usage reports."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    how: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address is None:
        how |= {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    try:
        ray.init(address=address, **how)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        where = f"at {address}" if address else "on this machine"
        raise InputError(f"no Ray cluster {where} ({_line(error)}); start one with `ray start --head`, or leave --address out") from error


def _room(ray: Any, resources: Resources) -> int:
    """How many actors the cluster has room for."""
    have = ray.cluster_resources()
    asked = {"CPU": resources.num_cpus, "GPU": resources.num_gpus, "memory": resources.memory or 0}
    return max(1, min(int(have.get(name, 0) // amount) for name, amount in asked.items() if amount))


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
