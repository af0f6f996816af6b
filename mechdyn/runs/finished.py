"""A finished run's folder, read back without its model: what was asked, and every planned trace by role."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mechdyn.errors import StoreError
from mechdyn.heads import read_heads
from mechdyn.plans import Request
from mechdyn.runs.folder import RunRecord, read_json
from mechdyn.tasks.task import Task, task_as_asked
from mechdyn.traces.manifest import Manifest
from mechdyn.traces.store import TraceStore
from mechdyn.traces.trace import Trace

Roles = Mapping[str, Sequence[Trace]]
Parsed = TypeVar("Parsed")
_STORES = "traces*"
STATIC = "static_heads.json"
"""The user's static heads in a claim's run."""


@dataclass(frozen=True, eq=False)
class RunFolder:
    """A run's folder; `traces` and `manifests` are by store, traces by role within it."""

    path: Path
    record: RunRecord
    traces: Mapping[str, Roles]
    manifests: Mapping[str, Manifest]

    @property
    def request(self) -> Request:
        """As far as a judge needs it."""
        asked = self.record.asked
        static = read_heads(self.path / STATIC) if asked.get("claim") and asked.get("heads") else None
        return Request(self.record.model, self.task, str(asked.get("preset", "quick")), seed=int(asked.get("seed", 0)), static=static)

    @property
    def task(self) -> Task:
        """The run's task, no file of it read."""
        return task_as_asked(str(self.record.asked.get("task", "niah")), self.record.asked)

    @property
    def roles(self) -> Roles:
        """The traces of a run with one store."""
        return next(iter(self.traces.values()))


def read_folder(path: Path, record: RunRecord, command: str, *, traced: bool = True) -> RunFolder:
    """Every planned trace, by store and role; a store without a list of roles has one role, `trace`.

    Raises:
        StoreError: planned traces that are not stored, no store at all where the run is one that is `traced`, or one that is damaged.
    """
    stores = sorted(each for each in path.glob(_STORES) if each.is_dir())
    if traced and not stores:
        raise unfinished(path, "nothing is traced yet", command)
    traces, manifests = {}, {}
    for each in stores:
        store = TraceStore.open(each)
        listed = each.with_name(f"{each.name}.json")
        roles = parsed(listed, dict) if listed.is_file() else {"trace": sorted(store.keys())}
        planned = {key for keys in roles.values() for key in keys}
        stored = len(planned & store.keys())
        if stored < len(planned) or not planned:
            raise unfinished(path, f"{stored} of {len(planned)} planned traces are in {each.name}", command)
        traces[each.name] = {role: store.load(keys) for role, keys in roles.items()}
        manifests[each.name] = store.manifest
    return RunFolder(path, record, traces, manifests)


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
