"""From the folder of a run to the traces of one sample under its conditions, with the sources that a store does not keep."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mechdyn.errors import InputError
from mechdyn.models.model import Model
from mechdyn.models.threads import parse_threads, use_threads
from mechdyn.runs.configs import ExploreConfig
from mechdyn.studies.conditions import CLEAN, CONDITIONS, condition_names
from mechdyn.tasks.task import is_correct
from mechdyn.tensors import torch
from mechdyn.traces.store import TraceStore
from mechdyn.traces.trace import Trace

_COLUMNS = ("unit", "sample", "task", "answer", "text", "meta", "n_steps")
_FACTS = ("id", "length", "depth", "seed", "style")


@dataclass(frozen=True)
class StoredSample:
    """One sample of a store: the unit of each condition, the condition without ablation first."""

    key: str
    task: str
    about: str
    """What made it, such as `length 512, depth 0.5, seed 3`."""
    units: Mapping[str, str]
    correct: Mapping[str, bool]

    @property
    def interest(self) -> tuple[bool, bool, int]:
        """What makes a sample worth a first look, compared in this order: an ablation breaks its answer, it is answered, conditions."""
        right = [self.correct[name] for name in self.units]
        return right[0] and not all(right), right[0], len(right)


@dataclass(frozen=True, eq=False)
class Explored:
    """What an explorer shows."""

    sample: StoredSample
    traces: Mapping[str, Trace]
    title: str


def open_traces(run: str | Path) -> TraceStore:
    """The store of a run's folder, or the folder itself where it is one.

    Raises:
        InputError: neither, or a store without traces.
        StoreError: a store that is damaged.
    """
    folder = Path(run)
    found = next((path for path in (folder / "traces", folder) if (path / "manifest.json").is_file()), None)
    if found is None:
        what = "does not exist" if not folder.exists() else "is neither the folder of a run nor a trace store (no traces/manifest.json)"
        raise InputError(f"{run} {what}; give the folder that mechdyn trace, verify or ablate wrote into")
    store = TraceStore.open(found)
    if not store.n_traces:
        raise InputError(f"the trace store at {found} has no traces yet; let the run go on first")
    return store


def stored_samples(store: TraceStore) -> list[StoredSample]:
    """The samples of a store, in its order. Traces without a step, of which there is nothing to see, are left out."""
    grouped: dict[str, list[dict[str, Any]]] = {}
    for row in store.rows(_COLUMNS).to_pylist():
        if row["n_steps"]:
            grouped.setdefault(row["sample"], []).append({**row, "meta": json.loads(row["meta"])})
    if not grouped:
        raise InputError(f"no trace of {store.url} has a generated token, so there is nothing to see; trace other samples")
    return [_stored(key, rows) for key, rows in grouped.items()]


def explore(config: ExploreConfig) -> Explored:
    """Choose a sample and its conditions, and replay them for their sources.

    Raises:
        InputError: a folder without traces, a sample or condition that it has not, or another model than the run's.
    """
    parse_threads(config.threads)
    store = open_traces(config.run)
    sample = choose(stored_samples(store), config.sample)
    names = _conditions(sample, config.conditions)
    traces = store.load([sample.units[name] for name in names])
    if config.sources:
        traces = _with_sources(config, store, traces)
    title = " · ".join(part for part in (store.manifest.model, sample.task, sample.about) if part)
    return Explored(sample, dict(zip(names, traces, strict=True)), title)


def _with_sources(config: ExploreConfig, store: TraceStore, traces: list[Trace]) -> list[Trace]:
    """Traces that can be replayed with their sources, for which the model is loaded; the others as they are."""
    from mechdyn.decoding.replay import can_replay, replay

    again = [trace for trace in traces if can_replay(trace)]
    if not again:
        return traces
    replayed = iter(replay(_load(config, store), again, keep_sources=config.sources))
    return [next(replayed) if can_replay(trace) else trace for trace in traces]


def choose(samples: Sequence[StoredSample], wanted: str | None) -> StoredSample:
    """The sample of a number or of the beginning of a key; without either, the first of the most interesting ones."""
    if wanted is None:
        return max(samples, key=lambda sample: sample.interest)
    if wanted.isdecimal() and int(wanted) < len(samples):
        return samples[int(wanted)]
    found = [sample for sample in samples if sample.key.startswith(wanted)]
    if len(found) != 1:
        raise InputError(
            f"{len(found) or 'no'} samples of the run are named {wanted!r}; give a number from 0 to {len(samples) - 1}, or a key of --list"
        )
    return found[0]


def _load(config: ExploreConfig, store: TraceStore) -> Model:
    """The run's model, in the dtype it ran in."""
    from mechdyn.models.load import load_model

    name = config.model or store.manifest.model
    try:
        model = load_model(name, dtype=getattr(torch, store.manifest.dtype))
    except InputError as error:
        raise InputError(
            f"the run's model cannot be loaded ({error}); say where it lies with --model, or leave sources out with --sources 0"
        ) from error
    use_threads(config.threads, model)
    return model


def _conditions(sample: StoredSample, wanted: Sequence[str]) -> list[str]:
    unknown = [name for name in wanted if name not in sample.units]
    if unknown:
        raise InputError(f"the sample was not traced under {unknown[0]!r}; its conditions are {'; '.join(sample.units)}")
    return [name for name in sample.units if not wanted or name in wanted]


def _stored(key: str, rows: Sequence[Mapping[str, Any]]) -> StoredSample:
    names = condition_names([row["meta"].get("ablation") or {} for row in rows])
    named = dict(zip(names, rows, strict=True))
    ordered = sorted(named, key=_place)
    meta = rows[0]["meta"]
    about = ", ".join(f"{fact} {meta[fact]}" for fact in _FACTS if meta.get(fact) is not None)
    correct = {name: is_correct(row["task"], row["text"], row["answer"]) for name, row in named.items()}
    return StoredSample(key, rows[0]["task"], about, {name: named[name]["unit"] for name in ordered}, correct)


def _place(name: str) -> tuple[bool, int, bool, list[tuple[int, str]]]:
    """Without ablation first, then as the ablation grid has its conditions, draws by their seeds as numbers."""
    first = name.partition(",")[0]
    parts = [(int(part) if part.isdecimal() else -1, part) for part in re.split(r"(\d+)", name)]
    return name != CLEAN, CONDITIONS.index(first) if first in CONDITIONS else len(CONDITIONS), "commit ablated" in name, parts
