"""Joining the folders of one run that was carried out on several machines; what they disagree about is named."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mechdyn.errors import InputError, StoreError
from mechdyn.rag.log import RagLog
from mechdyn.runs.finished import parsed
from mechdyn.runs.folder import RECORD, RunRecord, open_folder, read_record, write_json
from mechdyn.runs.pointers import find_stores
from mechdyn.runs.rag_logs import RagLogs
from mechdyn.runs.read import KINDS
from mechdyn.runs.run_log import LOG, RunLog, read_log
from mechdyn.traces.manifest import Manifest
from mechdyn.traces.store import TraceStore
from mechdyn.traces.stored import StoredTrace


@dataclass(frozen=True)
class Conflict:
    """A unit, or an answer of dynamic RAG, of which two runs have other content."""

    key: str
    first: Path
    second: Path
    what: str

    def __str__(self) -> str:
        return f"{self.key}: {self.what} differ between {self.first} and {self.second}"


@dataclass(frozen=True)
class Merged:
    """What a merge came to: traces and answers in the joined run, and conflicts, in which the run named first was taken."""

    folder: Path
    n_traces: int
    n_answers: int
    conflicts: tuple[Conflict, ...]


def merge(out: str | Path, runs: Sequence[str | Path], *, take_first: bool = False) -> Merged:
    """Join runs into a new folder; the same command with `--out` goes on there with what all of them lack.

    Args:
        out: a folder that does not exist, or an empty one.
        runs: folders of runs that were asked the same of the same model; what one of them lacks another may have.
        take_first: where two runs have other content for one key, take that of the run named first; else refuse.

    Raises:
        InputError: fewer than two runs, a folder that exists, or conflicts; nothing is written.
        StoreError: runs that were asked different things, or a file that is damaged.
    """
    paths = [Path(run) for run in runs]
    out = Path(out)
    if len(paths) < 2:
        raise InputError(f"merge joins at least two runs, got {len(paths)}; name their folders behind the new one")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"merge writes a new folder, {out} exists; name another")
    record = _one_record(paths)
    stores = [{name: TraceStore.open(url) for name, url in find_stores(path).items()} for path in paths]
    names = sorted({name for found in stores for name in found})
    manifests = {name: _one_manifest([found[name] for found in stores if name in found]) for name in names}
    roles = {name: _one_list(name, paths) for name in names}
    conflicts = [conflict for name in names for conflict in _trace_conflicts(name, paths, stores)]
    answers, disputed = _answers(paths, record)
    conflicts += disputed
    if conflicts and not take_first:
        shown = "; ".join(str(conflict) for conflict in conflicts[:5])
        more = f"; and {len(conflicts) - 5} more" if len(conflicts) > 5 else ""
        raise InputError(f"{len(conflicts)} conflicts: {shown}{more}; --take-first takes the content of the run named first")
    open_folder(out, record, KINDS[record.kind].config)
    n_traces = 0
    for name in names:
        store = TraceStore.create(out / name, manifests[name])
        for found in (each[name] for each in stores if name in each):
            new = sorted(found.keys() - store.keys())
            n_traces += store.append(found.stored(new)) if new else 0
        if roles[name]:
            write_json(out / f"{name}.json", roles[name])
    _write_answers(out, paths, answers)
    _write_log(out / LOG, paths)
    return Merged(out, n_traces, sum(map(len, answers.values())), tuple(conflicts))


def _one_record(paths: Sequence[Path]) -> RunRecord:
    records = [read_record(path) for path in paths]
    first = records[0]
    if first.kind not in KINDS:
        raise StoreError(f"{paths[0] / RECORD} is of no command that this mechdyn has; merge with the mechdyn that wrote it")
    for path, record in zip(paths[1:], records[1:], strict=True):
        differences = first.differences(record, KINDS[first.kind].config)
        if differences:
            raise StoreError(f"{paths[0]} and {path} are different runs ({differences[0]}); merge joins folders of one run")
    return first


def _one_manifest(stores: Sequence[TraceStore]) -> Manifest:
    """The first store's; others may have been written with other versions of packages, and must agree in all else."""
    first = stores[0].manifest
    for store in stores[1:]:
        differences = [line for line in first.differences(store.manifest) if not line.startswith("packages:")]
        if differences:
            raise StoreError(f"{stores[0].url} and {store.url} are stores of different runs ({'; '.join(differences)})")
    return first


def _one_list(name: str, paths: Sequence[Path]) -> dict[str, list[str]]:
    """Each role's units: a run that came further has more roles."""
    merged: dict[str, list[str]] = {}
    for path in paths:
        listed = path / f"{name}.json"
        for role, keys in (parsed(listed, dict) if listed.is_file() else {}).items():
            if merged.setdefault(role, keys) != keys:
                raise StoreError(f"{listed} has other units under {role} than the runs before it; they are different runs")
    return merged


def _trace_conflicts(name: str, paths: Sequence[Path], stores: Sequence[Mapping[str, TraceStore]]) -> Iterator[Conflict]:
    """Traces of one unit that are not the same to the last bit."""
    having = [(path, found[name]) for path, found in zip(paths, stores, strict=True) if name in found]
    for place, (path, store) in enumerate(having):
        for earlier_path, earlier in having[:place]:
            common = sorted(store.keys() & earlier.keys())
            for key in common:
                what = _difference(*(next(each.stored([key])) for each in (earlier, store)))
                if what:
                    yield Conflict(key, earlier_path, path, what)


def _difference(one: StoredTrace, other: StoredTrace) -> str:
    """In what two traces of a unit differ; empty where they are the same."""
    if one.tokens.tolist() != other.tokens.tolist() or (one.text, one.stopped) != (other.text, other.stopped):
        return "generated tokens"
    parts = {
        "retrieval scores": (one.retrieval_scores, other.retrieval_scores),
        "hidden states": (one.hidden, other.hidden),
        "ablated heads": (one.ablated, other.ablated),
        "scores under ablation": (one.ablated_scores, other.ablated_scores),
        "sentence scores": (one.sentence_scores, other.sentence_scores),
        "prompts": (one.prompt_tokens, other.prompt_tokens),
    }
    different = [name for name, (mine, theirs) in parts.items() if not _same(mine, theirs)]
    if different == ["hidden states"] and one.hidden.shape == other.hidden.shape:
        return f"hidden states (by up to {float(np.abs(one.hidden - other.hidden).max()):.1e})"
    return ", ".join(different)


def _same(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other, equal_nan=True)


def _answers(paths: Sequence[Path], record: RunRecord) -> tuple[dict[str, dict[str, RagLog]], list[Conflict]]:
    """Answers of dynamic RAG by condition and sample, and those that differ in anything but their time."""
    merged: dict[str, dict[str, RagLog]] = {}
    conflicts = []
    owner: dict[tuple[str, str], Path] = {}
    for path in paths:
        for condition in record.asked.get("strategies") or ():
            for sample, log in RagLogs(path).read(condition).items():
                mine = merged.setdefault(condition, {}).setdefault(sample, log)
                first = owner.setdefault((condition, sample), path)
                if {**mine.as_json(), "seconds": 0} != {**log.as_json(), "seconds": 0}:
                    conflicts.append(Conflict(sample, first, path, f"the answers of {condition}"))
    return merged, conflicts


def _write_answers(out: Path, paths: Sequence[Path], answers: Mapping[str, Mapping[str, RagLog]]) -> None:
    if not answers:
        return
    logs = RagLogs(out)
    for found in answers.values():
        logs.append(found.values())
    questions = next((found for found in (RagLogs(path).questions() for path in paths) if found), None)
    if questions:
        logs.write_questions(questions)


def _write_log(path: Path, paths: Sequence[Path]) -> None:
    """All lines of all logs in the order of their times, and that they were merged."""
    log = RunLog(path)
    events = sorted((event for each in paths for event in read_log(each / LOG)), key=lambda event: str(event.get("time", "")))
    log.copy(events)
    log.write("merged", runs=[str(each) for each in paths])
