"""A finished run's folder, read back without its model: what was asked, and every planned trace by role."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from mechdyn.errors import StoreError
from mechdyn.plans import Request
from mechdyn.runs.absent import failed_trace, load_role
from mechdyn.runs.failure import Failure
from mechdyn.runs.folder import RunRecord, read_json
from mechdyn.runs.own_heads import read_own_heads
from mechdyn.runs.pointers import find_stores
from mechdyn.runs.run_log import LOG, RunLog
from mechdyn.tasks.task import Task, task_as_asked
from mechdyn.traces.manifest import Manifest
from mechdyn.traces.store import TraceStore
from mechdyn.traces.stored import StoredTrace, as_trace
from mechdyn.traces.trace import Trace

Roles = Mapping[str, Sequence[Trace]]
StoredRoles = Mapping[str, Sequence[StoredTrace]]
Parsed = TypeVar("Parsed")
STATIC = "static_heads.json"
"""The user's static heads in a claim's run."""


@dataclass(frozen=True, eq=False)
class RunFolder:
    """A run's folder; `stores`, `traces` and `manifests` are by store, traces by role within it.

    What is `stored` is read without torch; `traces` and `roles` are the same with tensors.
    """

    path: Path
    record: RunRecord
    stores: Mapping[str, StoredRoles]
    manifests: Mapping[str, Manifest]
    planned: int = 0
    missing: int = 0
    set_aside: Mapping[str, Failure] = field(default_factory=dict)
    """Of the units `planned` so far some may be `missing`, and some failed for good; in their roles are traces of no step."""

    @property
    def request(self) -> Request:
        """As far as a judge needs it."""
        asked = self.record.asked
        static = read_own_heads(self.path / STATIC) if asked.get("claim") and asked.get("heads") else None
        return Request(self.record.model, self.task, str(asked.get("preset", "quick")), seed=int(asked.get("seed", 0)), static=static)

    @property
    def task(self) -> Task:
        """The run's task, no file of it read."""
        return task_as_asked(str(self.record.asked.get("task", "niah")), self.record.asked)

    @cached_property
    def traces(self) -> Mapping[str, Roles]:
        """The traces of each store."""
        return {name: {role: list(map(as_trace, found)) for role, found in stored.items()} for name, stored in self.stores.items()}

    @property
    def roles(self) -> Roles:
        """The traces of a run with one store; none where it has no store."""
        return next(iter(self.traces.values()), {})

    @property
    def stored(self) -> StoredRoles:
        """As `roles`, without tensors."""
        return next(iter(self.stores.values()), {})


def read_folder(path: Path, record: RunRecord, command: str, *, traced: bool = True, partial: bool = False) -> RunFolder:
    """Every planned trace, by store and role; a store without a list of roles has one role, `trace`.

    In the place of a unit that failed for good stands a trace of no step that stopped in an error.

    Args:
        path: the run's folder.
        record: its `run.json`.
        command: what goes on with it, for errors.
        traced: whether such a run always has traces.
        partial: take a run that is not finished too; a unit that has not been run is as one that failed.

    Raises:
        StoreError: planned traces that are not stored, no store at all where the run is one that is `traced`, or one that is damaged.
    """
    stores = find_stores(path)
    if traced and not stores:
        raise unfinished(path, "nothing is traced yet", command)
    failures = RunLog(path / LOG).set_aside
    read, manifests, n_planned, lacking = {}, {}, 0, set[str]()
    for name, url in stores.items():
        store = TraceStore.open(url)
        listed = path / f"{name}.json"
        roles = parsed(listed, dict) if listed.is_file() else {"trace": sorted(store.keys())}
        planned = {key for keys in roles.values() for key in keys}
        stored = len(planned & store.keys())
        absent = planned - store.keys()
        if (absent - failures.keys() and not partial) or not stored:
            raise unfinished(path, f"{stored} of {len(planned)} planned traces are in {name}", command)
        task = str(record.asked.get("task", "niah")).partition(":")[0]
        stand_in = functools.partial(failed_trace, task=task, manifest=store.manifest, failures=failures)
        read[name] = {role: load_role(store, keys, stand_in) for role, keys in roles.items()}
        manifests[name] = store.manifest
        n_planned, lacking = n_planned + len(planned), lacking | absent
    aside = {key: failure for key, failure in failures.items() if key in lacking}
    return RunFolder(path, record, read, manifests, n_planned, len(lacking - aside.keys()), aside)


def parsed(path: Path, parse: Callable[[Any], Parsed]) -> Parsed:
    """Read and parse a JSON file of a run.

    Raises:
        StoreError: it is not there, damaged, or holds something else.
    """
    content = read_json(path)
    try:
        return parse(content)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise StoreError(f"{path} is not what mechdyn wrote ({type(error).__name__}: {error}); restore it, or run again") from error


def unfinished(path: Path, why: str, command: str) -> StoreError:
    """The error about a run that did not come to its end."""
    return StoreError(f"run {path} is not finished: {why}; go on with it by: {command}")
