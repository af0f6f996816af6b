"""A finished run's folder, read back without its model: what was asked, and every planned trace by role."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mechdyn.errors import StoreError
from mechdyn.plans import Request
from mechdyn.runs.folder import CONFIG, read_json
from mechdyn.traces.manifest import Manifest
from mechdyn.traces.store import TraceStore
from mechdyn.traces.trace import Trace

Roles = Mapping[str, Sequence[Trace]]
Parsed = TypeVar("Parsed")
_STORES = "traces*"


@dataclass(frozen=True, eq=False)
class Folder:
    """A run's folder; `traces` and `manifests` are by store, traces by role within it."""

    path: Path
    config: Mapping[str, Any]
    traces: Mapping[str, Roles]
    manifests: Mapping[str, Manifest]

    @property
    def request(self) -> Request:
        """As far as a judge needs it."""
        return Request(self.config["model"], self.config["preset"], seed=self.config["seed"], task=self.config.get("task", "niah"))

    @property
    def roles(self) -> Roles:
        """The traces of a run with one store."""
        return next(iter(self.traces.values()))


def read_config(path: Path) -> dict[str, Any]:
    """What a run was asked.

    Raises:
        StoreError: no run's folder, or a damaged `run.json`.
    """
    if not (path / CONFIG).is_file():
        raise StoreError(f"{path} is not the folder of a run (it has no {CONFIG}); name one that a command wrote with --out")
    config = read_json(path / CONFIG)
    if not isinstance(config, dict) or not isinstance(config.get("model"), dict) or "name" not in config["model"]:
        raise StoreError(f"{path / CONFIG} is not what a command of mechdyn wrote; restore it, or run again into a new folder")
    return config


def read_folder(path: Path, config: Mapping[str, Any], command: str, *, traced: bool = True) -> Folder:
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
    return Folder(path, config, traces, manifests)


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
