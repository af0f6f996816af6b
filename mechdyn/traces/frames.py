"""Traces as tables for pandas, and as plain NumPy arrays: a row a step and head."""

import json
import math
import numbers
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float32, Int32, Int64
from torch import Tensor

from mechdyn.errors import InputError
from mechdyn.hashing import content_hash
from mechdyn.traces.columns import dense_scores, head_masks
from mechdyn.traces.manifest import Manifest
from mechdyn.traces.trace import Trace

if TYPE_CHECKING:
    from pandas import DataFrame

    from mechdyn.traces.store import TraceStore

_TRACE_COLUMNS = ("unit", "sample", "task", "condition", "stopped")
_STEP_COLUMNS = ("step", "token", "token_id", "layer", "head", "score", "retrieves", "ablated")
_USUAL = {"method": "zero", "scope": "position", "commit": "clean"}
_HEADS_NAMED = 4
_MOST_STEPS = 65_536
"""Steps that are read from a store at a time, at most."""


def frame(traces: Trace | Iterable[Trace]) -> "DataFrame":
    """Many traces as one pandas `DataFrame`, a row a step and head.

    Columns of the trace: `unit`, `sample`, `task`; each fact of the samples' meta that is one number or text (`length`, `depth`, `seed`,
    `id` ...; missing where a sample has none); `condition`, `none` or what the trace was ablated with; `stopped`. A fact that has the name
    of another column is called `meta_NAME`. Columns of the step: `step`, `token` (its text), `token_id`. Columns of the head: `layer`,
    `head`, `score`, `retrieves` (the score is above the trace's threshold), `ablated` (the step ran without it).

    Texts are categoricals. A trace without steps has no rows.

    Raises:
        InputError: no traces, or traces of models with different numbers of layers or heads.
    """
    given = [traces] if isinstance(traces, Trace) else list(traces)
    if not given:
        raise InputError("a frame needs at least one trace, got none")
    shapes = sorted({tuple(trace.retrieval_scores.shape[1:]) for trace in given})
    if len(shapes) > 1:
        raise InputError(f"a frame is of traces of one model, got (layers, heads) {', '.join(map(str, shapes))}; make one frame a model")
    facts = [_facts(trace.unit, trace.sample, trace.task, trace.stopped, trace.meta) for trace in given]
    return _frame(_steps_of(given), facts, _meta_names(facts))


def trace_frame(trace: Trace) -> "DataFrame":
    """The columns of the step and the head alone, see `frame`."""
    return _frame(_steps_of([trace]), None, [])


def trace_arrays(trace: Trace) -> dict[str, np.ndarray]:
    """What a trace holds as plain NumPy arrays, by name; what it does not hold is left out.

    `scores`, `active` and, on an ablated run, `ablated` and `ablated_scores` of the shape [step, layer, head]; `hidden` [step, d_model];
    `tokens` and `token_texts` [step]; `prompt_tokens` and `needle_positions`; `sentence_scores` [step, sentence]; what was kept of
    `patterns` [step, layer, head, key] and of `source_positions` and `source_weights` [step, layer, head, rank].
    """
    found = {
        "scores": trace.retrieval_scores,
        "active": trace.active,
        "ablated": trace.ablated,
        "ablated_scores": trace.ablated_scores,
        "hidden": trace.hidden,
        "tokens": trace.tokens,
        "prompt_tokens": trace.prompt_tokens,
        "needle_positions": trace.needle_positions,
        "sentence_scores": trace.sentence_scores,
        "patterns": trace.patterns,
        "source_positions": trace.sources.positions if trace.sources else None,
        "source_weights": trace.sources.weights if trace.sources else None,
    }
    arrays = {name: _array(tensor) for name, tensor in found.items() if tensor is not None}
    return {**arrays, "token_texts": np.array(trace.token_texts, dtype=np.str_)}


def store_frames(store: "TraceStore", keys: Collection[str] | None, rows: int | None) -> Iterator["DataFrame"]:
    """The traces of a store as frames of about `rows` rows each, or as one (None); see `TraceStore.frames`."""
    if rows is not None and rows < 1:
        raise InputError(f"a frame needs at least 1 row, got {rows}")
    facts = {unit: (found, threshold) for unit, found, threshold in _stored_facts(store, keys)}
    names = _meta_names([found for found, _ in facts.values()])
    most = math.inf if rows is None else rows / store.manifest.n_flat
    waiting: list[pa.RecordBatch] = []
    n_waiting = 0
    batch_rows = max(1, int(min(most, _MOST_STEPS)))
    for batch in store.scan(["unit", "step", "token", "token_text", "scores", "ablated_heads"], batch_rows, keys):
        waiting.append(batch)
        n_waiting += batch.num_rows
        if n_waiting >= most:
            table = pa.Table.from_batches(waiting)
            units = table["unit"].to_numpy()
            # The last trace may go on in the next batch.
            whole = int(np.argmax(units == units[-1]))
            if whole:
                yield _table_frame(table[:whole], facts, names, store.manifest)
            waiting, n_waiting = table[whole:].to_batches(), table.num_rows - whole
    if n_waiting:
        yield _table_frame(pa.Table.from_batches(waiting), facts, names, store.manifest)


def unpacked(lists: Iterable[Any], manifest: Manifest) -> Float32[np.ndarray, "step layer head"]:
    """The scores of steps from the lists of a `scores` or `ablated_scores` column, whichever tool read it.

    pandas, polars, DuckDB and `datasets` give such a column as lists: flat indices of the heads that score 1 in a store of sparse scores,
    a number a head in a store of dense ones. A step without a list has NaN everywhere.

    Raises:
        InputError: an index or a number of heads that the manifest's model has not.
    """
    rows = [None if row is None else np.asarray(row) for row in lists]
    scores = np.full((len(rows), manifest.n_flat), np.nan, dtype=np.float32)
    for step, row in enumerate(rows):
        if row is None:
            continue
        if manifest.scores == "sparse":
            if row.size and not 0 <= row.min() <= row.max() < manifest.n_flat:
                raise InputError(f"row {step} names head {row.max()}, the model has {manifest.n_flat}; give the manifest of the same store")
            scores[step] = 0
            scores[step, row.astype(np.int64)] = 1
        elif row.shape != (manifest.n_flat,):
            raise InputError(f"row {step} has {row.size} scores for {manifest.n_flat} heads; give the manifest of the same store")
        else:
            scores[step] = row
    return scores.reshape(len(rows), manifest.n_layers, manifest.n_heads)


def condition_of(ablation: Mapping[str, Any]) -> str:
    """What a trace was ablated with in a few words, `none` where with nothing; seeds are left out, so that draws of one kind share it."""
    if not ablation:
        return "none"
    others = [f"{name} {ablation[name]}" for name, usual in _USUAL.items() if ablation.get(name, usual) != usual]
    return ", ".join([_in_words(dict(ablation.get("schedule") or {})), *others])


def _in_words(schedule: dict[str, Any]) -> str:
    words = [str(schedule.pop("kind", "ablated"))]
    for name, value in schedule.items():
        if isinstance(value, Mapping):
            words.append(f"({_in_words(dict(value))})")
        elif isinstance(value, list):
            words.append(" ".join(map(str, value)) if len(value) <= _HEADS_NAMED else f"{len(value)} {name} {content_hash(value)[:4]}")
        elif value is True:
            words.append(name)
        elif value not in (None, False) and name != "seed":
            words.append(f"{name} {value}")
    return " ".join(words)


@dataclass(frozen=True)
class _Steps:
    """Steps one below the other; `trace` is the number of the trace that each is of."""

    trace: Int64[np.ndarray, " step"]
    step: Int32[np.ndarray, " step"]
    token: Int64[np.ndarray, " step"]
    token_text: Sequence[str]
    scores: Float32[np.ndarray, "step layer head"]
    active: Bool[np.ndarray, "step layer head"]
    ablated: Bool[np.ndarray, "step layer head"]


def _steps_of(traces: Sequence[Trace]) -> _Steps:
    counts = [trace.n_steps for trace in traces]
    scores = np.concatenate([_array(trace.retrieval_scores).astype(np.float32, copy=False) for trace in traces])
    active = np.concatenate([trace.active.numpy() for trace in traces])
    ablated = [np.zeros(trace.active.shape, dtype=bool) if trace.ablated is None else trace.ablated.numpy() for trace in traces]
    return _Steps(
        trace=np.repeat(np.arange(len(traces)), counts),
        step=np.concatenate([np.arange(count, dtype=np.int32) for count in counts]),
        token=np.concatenate([trace.tokens.numpy() for trace in traces]).astype(np.int64),
        token_text=[text for trace in traces for text in trace.token_texts],
        scores=scores,
        active=active,
        ablated=np.concatenate(ablated),
    )


def _table_frame(table: pa.Table, facts: Mapping[str, Any], meta: Sequence[str], manifest: Manifest) -> "DataFrame":
    """A frame of rows of a store's steps."""
    units = table["unit"].to_pylist()
    order = {unit: number for number, unit in enumerate(dict.fromkeys(units))}
    trace = np.array([order[unit] for unit in units])
    scores = dense_scores(table["scores"], manifest)
    # As float32, like the scores: so the comparison is that of `Trace.active`.
    thresholds = np.array([facts[unit][1] for unit in order], dtype=np.float32)
    steps = _Steps(
        trace=trace,
        step=table["step"].to_numpy(),
        token=table["token"].to_numpy().astype(np.int64),
        token_text=table["token_text"].to_pylist(),
        scores=scores,
        active=scores > thresholds[trace][:, None, None],
        ablated=head_masks(table["ablated_heads"], manifest),
    )
    return _frame(steps, [facts[unit][0] for unit in order], meta)


def _frame(steps: _Steps, facts: Sequence[Mapping[str, Any]] | None, meta: Sequence[str]) -> "DataFrame":
    import pandas as pd  # a second to import, and needed here alone

    n_steps, n_layers, n_heads = steps.scores.shape
    n_flat = n_layers * n_heads
    columns: dict[str, Any] = {}
    if facts is not None:
        row_trace = np.repeat(steps.trace, n_flat)
        names = {**{name: name for name in _TRACE_COLUMNS[:3]}, **{f"meta {name}": _column(name) for name in meta}}
        for source, name in {**names, **{name: name for name in _TRACE_COLUMNS[3:]}}.items():
            columns[name] = _spread([each.get(source) for each in facts], row_trace)
    columns["step"] = np.repeat(steps.step, n_flat)
    codes, texts = pd.factorize(np.array(steps.token_text, dtype=object))
    columns["token"] = pd.Categorical.from_codes(np.repeat(codes, n_flat), texts)
    columns["token_id"] = np.repeat(steps.token, n_flat)
    columns["layer"] = np.tile(np.repeat(np.arange(n_layers, dtype=np.int16), n_heads), n_steps)
    columns["head"] = np.tile(np.arange(n_heads, dtype=np.int16), n_steps * n_layers)
    columns |= {"score": steps.scores.ravel(), "retrieves": steps.active.ravel(), "ablated": steps.ablated.ravel()}
    return pd.DataFrame(columns, copy=False)


def _column(name: str) -> str:
    return f"meta_{name}" if name in (*_TRACE_COLUMNS, *_STEP_COLUMNS) else name


def _spread(values: list[Any], row_trace: np.ndarray) -> Any:
    """A value of every trace, at each of its rows: numbers as they are, everything else as a categorical."""
    import pandas as pd

    of_traces = pd.Series(values)
    if pd.api.types.is_numeric_dtype(of_traces.dtype):
        return of_traces.to_numpy()[row_trace]
    codes, categories = pd.factorize(np.array(values, dtype=object))
    return pd.Categorical.from_codes(codes[row_trace], categories)


def _facts(unit: str, sample: str, task: str, stopped: str, meta: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of a whole trace: its columns, and the meta's under `meta NAME`."""
    scalars = {f"meta {name}": value for name, value in meta.items() if isinstance(value, str | numbers.Real)}
    columns = {"unit": unit, "sample": sample, "task": task, "stopped": stopped, "condition": condition_of(meta.get("ablation") or {})}
    return {**columns, **scalars}


def _meta_names(facts: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every fact that any meta has, in the order of their first coming."""
    return list(dict.fromkeys(name.removeprefix("meta ") for each in facts for name in each if name.startswith("meta ")))


def _stored_facts(store: "TraceStore", keys: Collection[str] | None) -> Iterator[tuple[str, dict[str, Any], float]]:
    for table in store.scan_traces(["unit", "sample", "task", "stopped", "threshold", "meta"], keys):
        for row in table.to_pylist():
            threshold, meta = row.pop("threshold"), json.loads(row.pop("meta"))
            yield row["unit"], _facts(**row, meta=meta), threshold


def _array(tensor: Tensor) -> np.ndarray:
    """NumPy has no bfloat16; float32 holds its values exactly."""
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
