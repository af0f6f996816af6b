"""Between traces (NumPy) and rows (Arrow)."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from einops import rearrange
from jaxtyping import Bool, Float, Int

from mechdyn.errors import InputError
from mechdyn.traces.manifest import Manifest, to_json
from mechdyn.traces.schema import INDEX, steps_schema, traces_schema
from mechdyn.traces.stored import MEASURED, AnyTrace, StoredTrace, as_stored

Column: TypeAlias = pa.Array | pa.ChunkedArray
_TEXTS = ("unit", "sample", "task", "question", "answer", "text", "stopped")


def step_rows(given: AnyTrace, manifest: Manifest) -> pa.RecordBatch:
    """A row for every step of a trace.

    Raises:
        InputError: shapes that disagree with one another or with the manifest, scores that the packing cannot hold exactly, hidden states
            beyond the range of float16.
    """
    _check_shapes(given, manifest)
    trace = as_stored(given)
    n_steps = trace.n_steps
    active = np.count_nonzero(trace.active, axis=(1, 2)).astype(np.int32)
    columns = {
        "unit": pa.repeat(trace.unit, n_steps),
        "sample": pa.repeat(trace.sample, n_steps),
        "step": pa.array(np.arange(n_steps, dtype=np.int32)),
        "token": _int32(trace.tokens),
        "token_text": pa.array(trace.token_texts, pa.string()),
        "needle_hit": pa.array(active > 0),
        "n_active": pa.array(active),
        "scores": _packed_scores(trace.retrieval_scores, manifest, trace.unit, fixed=True),
        "ablated_scores": _absent(n_steps, manifest)
        if trace.ablated_scores is None
        else _packed_scores(trace.ablated_scores, manifest, trace.unit, fixed=False),
        "ablated_heads": pa.nulls(n_steps, pa.list_(INDEX)) if trace.ablated is None else _indices(trace.ablated),
        "sentence_scores": pa.nulls(n_steps, pa.list_(pa.float32())) if trace.sentence_scores is None else _lists(trace.sentence_scores),
        "hidden": _packed_hidden(trace.hidden, manifest, trace.unit),
    }
    return pa.record_batch(list(columns.values()), schema=steps_schema(manifest))


def trace_row(given: AnyTrace) -> dict[str, Any]:
    """What a trace's one row holds beside its steps, by column; `trace_rows` makes rows of it."""
    trace = as_stored(given)
    return {
        **{name: getattr(trace, name) for name in (*_TEXTS, "threshold", "n_steps")},
        "prompt_tokens": trace.prompt_tokens.astype(np.int32),
        "needle_positions": trace.needle_positions.astype(np.int32),
        "n_sentences": 0 if trace.sentence_scores is None else trace.sentence_scores.shape[1],
        "meta": to_json({**trace.meta, **trace.measured}, f"the meta of trace {trace.unit}"),
        "ablated": trace.ablated is not None,
        "ablated_scored": trace.ablated_scores is not None,
    }


def trace_rows(rows: Sequence[Mapping[str, Any]], manifest: Manifest) -> pa.RecordBatch:
    """A row for each of some traces."""
    schema = traces_schema(manifest)
    return pa.record_batch([pa.array([row[field.name] for row in rows], field.type) for field in schema], schema=schema)


def trace_of(row: pa.Table, steps: pa.Table, manifest: Manifest) -> StoredTrace:
    """The trace that one row of `traces/` and its rows of `steps/` hold."""
    values = row.drop_columns(["prompt_tokens", "needle_positions"]).to_pylist()[0]
    meta = json.loads(values["meta"])
    return StoredTrace(
        **{name: values[name] for name in (*_TEXTS, "threshold")},
        measured={name: meta.pop(name) for name in MEASURED if name in meta},
        meta=meta,
        prompt_tokens=_int64(_whole(row["prompt_tokens"]).flatten()),
        needle_positions=_int64(_whole(row["needle_positions"]).flatten()),
        tokens=_int64(_whole(steps["token"])),
        token_texts=tuple(steps["token_text"].to_pylist()),
        retrieval_scores=dense_scores(steps["scores"], manifest),
        hidden=hidden_states(steps["hidden"], manifest),
        sentence_scores=_sentence_scores(steps["sentence_scores"], values["n_sentences"]) if values["n_sentences"] else None,
        ablated=head_masks(steps["ablated_heads"], manifest) if values["ablated"] else None,
        ablated_scores=dense_scores(steps["ablated_scores"], manifest) if values["ablated_scored"] else None,
    )


def dense_scores(column: Column, manifest: Manifest) -> Float[np.ndarray, "step layer head"]:
    """A score column of steps, in either packing, as one float32 a head."""
    if manifest.scores == "sparse":
        return head_masks(column, manifest).astype(np.float32)
    values = _values(_whole(column).flatten())
    return values.reshape(len(column), manifest.n_layers, manifest.n_heads)


def head_masks(column: Column, manifest: Manifest) -> Bool[np.ndarray, "step layer head"]:
    """True at the heads whose flat indices a step lists."""
    lists = _whole(column)
    counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    masks = np.zeros((len(lists), manifest.n_flat), dtype=np.bool_)
    masks[np.repeat(np.arange(len(lists)), counts), lists.flatten().to_numpy(zero_copy_only=False)] = True
    return masks.reshape(len(lists), manifest.n_layers, manifest.n_heads)


def hidden_states(column: Column, manifest: Manifest) -> Float[np.ndarray, "step d_model"]:
    """The hidden column of steps, in the dtype it is stored in."""
    return _values(_whole(column).flatten()).reshape(len(column), manifest.d_model)


def _check_shapes(trace: AnyTrace, manifest: Manifest) -> None:
    heads = (trace.n_steps, manifest.n_layers, manifest.n_heads)
    wanted: tuple[tuple[str, Any, tuple[int, ...]], ...] = (
        ("retrieval_scores", trace.retrieval_scores, heads),
        ("ablated", trace.ablated, heads),
        ("ablated_scores", trace.ablated_scores, heads),
        ("hidden", trace.hidden, (trace.n_steps, manifest.d_model)),
        (
            "sentence_scores",
            trace.sentence_scores,
            (trace.n_steps, *(trace.sentence_scores.shape[1:] if trace.sentence_scores is not None else ())),
        ),
    )
    for name, array, shape in wanted:
        if array is not None and tuple(array.shape) != shape:
            raise InputError(
                f"{name} of trace {trace.unit} must have the shape {shape} (steps, then the manifest's), got {tuple(array.shape)}; "
                "append it to a store of its own model"
            )
    if len(trace.token_texts) != trace.n_steps:
        raise InputError(f"trace {trace.unit} has {trace.n_steps} tokens but {len(trace.token_texts)} token texts; give one a token")


def _packed_scores(scores: Float[np.ndarray, "step layer head"], manifest: Manifest, unit: str, fixed: bool) -> pa.Array:
    if manifest.scores == "sparse":
        if not bool(((scores == 0) | (scores == 1)).all()):
            raise InputError(
                f"trace {unit} has scores other than 0 and 1, which sparse packing cannot hold; use scores='dense' in the manifest"
            )
        return _indices(scores != 0)
    if scores.dtype == np.float64:
        raise InputError(f"trace {unit} has float64 scores, a store keeps float32; convert them before appending")
    if fixed:
        return pa.FixedSizeListArray.from_arrays(pa.array(scores.astype(np.float32).ravel()), manifest.n_flat)
    return _lists(rearrange(scores, "step layer head -> step (layer head)"))


def _lists(values: Float[np.ndarray, "step value"]) -> pa.Array:
    """A float32 list for every step."""
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.astype(np.float32).ravel()))


def _sentence_scores(column: Column, n_sentences: int) -> Float[np.ndarray, "step sentence"]:
    return _values(_whole(column).flatten()).reshape(len(column), n_sentences)


def _absent(n_steps: int, manifest: Manifest) -> pa.Array:
    return pa.nulls(n_steps, pa.list_(INDEX if manifest.scores == "sparse" else pa.float32()))


def _indices(mask: Bool[np.ndarray, "step layer head"]) -> pa.Array:
    flat = rearrange(mask, "step layer head -> step (layer head)")
    offsets = np.concatenate([[0], flat.sum(axis=1).cumsum()]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat.nonzero()[1].astype(np.int32)))


def _packed_hidden(hidden: Float[np.ndarray, "step d_model"], manifest: Manifest, unit: str) -> pa.Array:
    with np.errstate(over="ignore"):
        stored = hidden.astype(manifest.hidden_dtype)
    if not np.array_equal(np.isfinite(stored), np.isfinite(hidden)):
        raise InputError(f"trace {unit} has hidden states beyond the range of float16 (65504); use hidden_dtype='float32' in the manifest")
    return pa.FixedSizeListArray.from_arrays(pa.array(stored.ravel()), manifest.d_model)


def _int32(values: Int[np.ndarray, " n"]) -> pa.Array:
    return pa.array(values.astype(np.int32))


def _int64(values: pa.Array) -> Int[np.ndarray, " n"]:
    return values.to_numpy(zero_copy_only=False).astype(np.int64)


def _values(values: pa.Array) -> Float[np.ndarray, " n"]:
    """A copy: Arrow's memory is not to be written to."""
    return np.array(values.to_numpy(zero_copy_only=False))


def _whole(column: Column) -> pa.Array:
    """One array of a column that may come in chunks."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
