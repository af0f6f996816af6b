"""How far a run is, from its folder alone: no model is loaded, nothing is run or changed, and torch is not needed."""

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mechdyn.errors import StoreError
from mechdyn.runs.folder import LOCK, RECORD, read_json, read_record
from mechdyn.runs.improve_configs import ANSWERS, PLANNED
from mechdyn.runs.pointers import find_stores
from mechdyn.runs.run_log import HEARTBEAT_SECONDS, LOG, RunLog, read_log
from mechdyn.traces.keys import stored_units

_SILENT = 3 * HEARTBEAT_SECONDS
"""A worker that was not heard of for so many seconds is named."""
_SLOW, _SLOW_SECONDS = 10.0, 60.0
"""So is one that has been at its batch this many times as long as the longest batch took, and at least so many seconds."""


@dataclass(frozen=True)
class UnitFailure:
    """A unit that failed and has no trace, how often, and the last error."""

    key: str
    about: str
    error: str
    times: int


@dataclass(frozen=True)
class RunStatus:
    """How far a run is.

    Attributes:
        path: its folder.
        what: the command and what it was asked, in words.
        state: running, done, stopped, or planned where nothing has been run.
        planned: units that the plan has named so far; a plan may name more once these are run.
        stored: of these, how many have a trace (of RAG: answers).
        failed: units that failed and have no trace.
        set_aside: how many of these are not tried again.
        seconds_left: by what was done so far in this go; None where that is not known.
        last: what the log says last: when (UTC), the event, and for an end how it came.
        stuck: a line for each worker that seems to be.
    """

    path: Path
    what: str
    state: str
    planned: int
    stored: int
    failed: tuple[UnitFailure, ...]
    set_aside: int
    seconds_left: float | None
    last: str
    stuck: tuple[str, ...] = field(default=())

    @property
    def left(self) -> int:
        """Units to be run."""
        return self.planned - self.stored - self.set_aside

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "path": str(self.path), "left": self.left}


def status_of(path: str | Path) -> RunStatus:
    """The status of one run.

    Raises:
        StoreError: no run's folder, or a file of it that is damaged.
    """
    path = Path(path)
    record = read_record(path)
    planned, stored = _traces(path)
    answers, asked = map(sum, zip(_answers(path, record.asked), _evaluated(path), strict=True))
    log, events = RunLog(path / LOG), read_log(path / LOG)
    failures = {key: failure for key, failure in log.failures.items() if key not in stored}
    last = events[-1] if events else {}
    words = [record.kind, str(record.asked.get("claim", "")), str(record.model["name"]), str(record.asked.get("task", ""))]
    running = _is_held(path)
    return RunStatus(
        path=path,
        what=" ".join(word for word in words if word),
        state="running" if running else _state(last, planned, stored),
        planned=len(planned) + asked,
        stored=len(planned & stored) + answers,
        failed=tuple(UnitFailure(key, each.about, str(each), log.n_failures(key)) for key, each in failures.items()),
        set_aside=sum(key in log.set_aside for key in failures),
        seconds_left=_seconds_left(events, len(planned - stored)) if running else None,
        last=" ".join(str(last[name]) for name in ("time", "event", "how", "error") if name in last),
        stuck=tuple(_stuck(events)) if running else (),
    )


def statuses_of(path: str | Path) -> list[RunStatus]:
    """The status of a run, or of every run of a sweep that has begun.

    Raises:
        StoreError: neither the folder of a run nor one that holds such.
    """
    path = Path(path)
    if (path / RECORD).is_file():
        return [status_of(path)]
    inside = sorted(each.parent for each in path.glob(f"*/{RECORD}"))
    if not inside:
        raise StoreError(f"{path} is not the folder of a run or sweep (it has no {RECORD}, nor has any folder in it); name one")
    return [status_of(each) for each in inside]


def _traces(path: Path) -> tuple[set[str], set[str]]:
    """Keys that are planned, and keys that are stored."""
    planned, stored = set[str](), set[str]()
    for name, url in find_stores(path).items():
        units = stored_units(url)
        listed = path / f"{name}.json"
        roles = read_json(listed) if listed.is_file() else {"trace": units}
        if not isinstance(roles, Mapping):
            raise StoreError(f"{listed} is not what mechdyn wrote; restore it, or run again")
        planned |= {key for keys in roles.values() for key in keys}
        stored |= units
    return planned, stored


def _answers(path: Path, asked: Mapping[str, Any]) -> tuple[int, int]:
    """Of dynamic RAG: answers that there are, and answers that there will be once all questions are known."""
    logs = sorted((path / "logs").glob("*.jsonl"))
    found = [each.read_bytes().count(b"\n") for each in logs]
    questions = path / "questions.jsonl"
    n_questions = questions.read_bytes().count(b"\n") if questions.is_file() else max(found, default=0)
    return sum(found), n_questions * len(asked.get("strategies") or logs) if logs else 0


def _evaluated(path: Path) -> tuple[int, int]:
    """Of what improves a model: answers and texts that there are, and that there will be."""
    planned, answers = path / PLANNED, path / ANSWERS
    if not planned.is_file():
        return 0, 0
    return answers.read_bytes().count(b"\n") if answers.is_file() else 0, int(read_json(planned)["answers"])


def _is_held(path: Path) -> bool:
    """Whether a process is at the run."""
    if not (path / LOCK).is_file():
        return False
    lock = FileLock(path / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False


def _state(last: Mapping[str, Any], planned: set[str], stored: set[str]) -> str:
    if last.get("event") == "end":
        return str(last.get("how", "done"))
    if not last:
        return "done" if planned and planned <= stored else "planned"
    return "stopped"


def _seconds_left(events: list[dict[str, Any]], n_left: int) -> float | None:
    """By the pace since the command was last started."""
    begun = max((index for index, event in enumerate(events) if event["event"] == "start"), default=None)
    if begun is None:
        return None
    batches = [event for event in events[begun:] if event["event"] == "batch"]
    n_done, seconds = sum(int(event.get("traces", 0)) for event in batches), batches[-1]["elapsed"] if batches else 0.0
    return n_left * seconds / n_done if n_done else None


def _stuck(events: list[dict[str, Any]]) -> list[str]:
    """Workers that the last heartbeat tells nothing good of; and the driver, where it beats no more."""
    beats = [event for event in events if event["event"] == "heartbeat"]
    if not beats or "time" not in beats[-1]:
        return []
    lines = []
    ago = (datetime.now(UTC) - datetime.fromisoformat(beats[-1]["time"])).total_seconds()
    if ago > _SILENT and events[-1] is beats[-1]:
        lines.append(f"the command itself was last heard of {ago:.0f} s ago")
    took = [event["seconds"] for event in events if event["event"] == "batch"]
    usual = f"batches took {statistics.median(took):.0f} s, the longest {max(took):.0f} s" if took else "no batch is done yet"
    slow = max(_SLOW_SECONDS, _SLOW * max(took)) if took else float("inf")
    for worker in beats[-1].get("workers", []):
        if worker["item"] is not None and (worker["silent"] > _SILENT or worker["seconds"] > slow):
            lines.append(
                f"{worker['name']} has been at batch {worker['item']} for {worker['seconds']:.0f} s and was last heard of "
                f"{worker['silent']:.0f} s before; {usual}"
            )
    return lines
