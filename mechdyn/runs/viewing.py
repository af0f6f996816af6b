"""What a viewer shows of a run beside its traces: its conditions, results, manifest and log, lists of heads, the texts of token ids."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mechdyn.errors import InputError, MechdynError, StoreError
from mechdyn.evidence import Verdict
from mechdyn.heads import RankedHeads
from mechdyn.runs.detect import HEADS
from mechdyn.runs.explore import StoredSample, open_traces, planned_names, stored_samples
from mechdyn.runs.finished import STATIC, parsed
from mechdyn.runs.folder import RECORD, read_json
from mechdyn.runs.own_heads import read_own_heads
from mechdyn.runs.pointers import find_stores
from mechdyn.runs.run_log import LOG, read_log
from mechdyn.runs.verify import VERDICTS
from mechdyn.studies.head_lists import named_lists, of_one_shape
from mechdyn.traces.store import TraceStore

_OWN_LISTS = {HEADS: "detected by the run", STATIC: "the run's static heads"}


@dataclass(frozen=True, eq=False)
class ViewedRun:
    """A run, or a trace store that lies alone, to be viewed.

    Attributes:
        path: its folder.
        store: the traces.
        other_stores: names of further stores of the run, which are viewed by themselves.
        samples: those with a generated token, in the order of the store.
        record: what `run.json` says; None of a store alone.
        verdicts: as recorded.
        log: the lines of the run's log.
        lists: of heads by name, those of the run's folder and those given.
    """

    path: Path
    store: TraceStore
    other_stores: tuple[str, ...]
    samples: tuple[StoredSample, ...]
    record: Mapping[str, Any] | None
    verdicts: tuple[Verdict, ...]
    log: tuple[Mapping[str, Any], ...]
    lists: Mapping[str, RankedHeads]

    @property
    def conditions(self) -> tuple[str, ...]:
        """All of them, that without ablation first."""
        return tuple(dict.fromkeys(name for sample in sorted(self.samples, key=lambda each: -len(each.units)) for name in sample.units))

    @property
    def asked(self) -> dict[str, Any]:
        """The kind of run, the options that it was asked and its model, without options that were left out."""
        record = self.record or {}
        if "kind" not in record:
            return dict(record)
        asked = {name: value for name, value in record.get("asked", {}).items() if value not in (None, [], {})}
        return {"kind": record["kind"], **asked, "model": record["model"], "source": record.get("source")}


def view(path: str | Path, heads: Sequence[str] = (), store: str | None = None) -> ViewedRun:
    """Read what a viewer needs; traces are read when it is made.

    Args:
        path: the folder of a run, finished or not, or of a trace store.
        heads: files of lists of heads, as `mechdyn heads compare` takes them.
        store: which store of a run that has several; the first when left out.

    Raises:
        InputError: no run, one without traces, a store that it has not, a list of heads of another model.
        StoreError: a file that is damaged; it is named.
    """
    folder = Path(path)
    name, others, traces = _store(folder, store)
    shape = traces.manifest.n_layers, traces.manifest.n_heads
    record = read_json(folder / RECORD) if (folder / RECORD).is_file() else None
    lists = {name: read_own_heads(folder / file) for file, name in _OWN_LISTS.items() if (folder / file).is_file()}
    given = named_lists(heads)
    if same := [name for name in given if name in lists]:
        raise InputError(f"a list of the run is called {same[0]!r}; give yours another name: NAME=FILE")
    return ViewedRun(
        path=folder,
        store=traces,
        other_stores=others,
        samples=tuple(stored_samples(traces, planned_names(folder, name))),
        record=record,
        verdicts=tuple(parsed(folder / VERDICTS, _verdicts)) if (folder / VERDICTS).is_file() else (),
        log=tuple(read_log(folder / LOG)),
        lists=of_one_shape(lists | given, shape) if lists or given else {},
    )


def token_table(run: ViewedRun, ids: Sequence[int], model: str | None = None) -> tuple[dict[int, str], str]:
    """The texts of token ids by the run's tokenizer, whose weights are not read; none, and why, where it cannot be had here."""
    from mechdyn.models.tokens import load_tokenizer, token_texts

    try:
        tokenizer = load_tokenizer(model or _source(run), run.store.manifest.dtype)
    except MechdynError as error:
        if model is not None:
            raise
        return {}, f"prompts show token ids, since the tokenizer of {run.store.manifest.model} is not here ({error})"
    known = [token for token in ids if token < len(tokenizer)]
    return dict(zip(known, token_texts(tokenizer, known), strict=True)), ""


def _source(run: ViewedRun) -> str:
    return str((run.record or {}).get("source", run.store.manifest.model))


def _verdicts(rows: Sequence[Mapping[str, Any]]) -> list[Verdict]:
    return [Verdict.from_json(row) for row in rows]


def _store(folder: Path, wanted: str | None) -> tuple[str, tuple[str, ...], TraceStore]:
    """The name of the store to view, those of the others, and the store."""
    stores = find_stores(folder) if (folder / RECORD).is_file() else {}
    if not stores:
        if wanted is not None:
            raise InputError(f"{folder} has no store {wanted!r} of traces; leave --store out")
        return "traces", (), open_traces(folder)
    name = wanted or next(iter(stores))
    if name not in stores:
        raise InputError(f"{folder} has no store {name!r} of traces; it has {', '.join(stores)}")
    try:
        store = TraceStore.open(stores[name])
    except json.JSONDecodeError as error:
        raise StoreError(f"the manifest of {stores[name]} is damaged ({error}); restore it") from error
    if not store.n_traces:
        raise InputError(f"the run {folder} has no traces yet; let it go on first")
    return name, tuple(other for other in stores if other != name), store
