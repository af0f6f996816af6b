"""The columns of a trace store, versions 2 and 3.

`steps/part-*.parquet` has one row a step, `traces/part-*.parquet` one row a trace in the same order; the two files of a part share its id.

Scores, by `Manifest.scores`:

- `sparse`, for scores that are 0 or 1: the flat indices l · n_heads + h of the heads that score 1, ascending.
- `dense`: one float32 a head, in flat order, in a list of fixed size.

Sentence scores are one float32 a sentence, in either case; null for tasks whose sentences are not scored by themselves (`n_sentences` 0).

The heads that a step ran without are a list of flat indices in either case. Null in `ablated_scores` or `ablated_heads` means that the
trace has none, which an empty list does not.
"""

import json
from collections.abc import Mapping

import pyarrow as pa

from mechdyn.traces.manifest import Manifest

INDEX = pa.int32()
DECLARATION = b"mechdyn"
"""Where in a file's metadata it says what it is a part of, as JSON."""


def score_type(manifest: Manifest, nullable: bool) -> pa.DataType:
    """The type of a score column. A nullable dense one has no fixed size: Parquet readers disagree about nulls in those."""
    if manifest.scores == "sparse":
        return pa.list_(INDEX)
    return pa.list_(pa.float32()) if nullable else pa.list_(pa.float32(), manifest.n_flat)


def steps_schema(manifest: Manifest) -> pa.Schema:
    """One row a step."""
    hidden = pa.float16() if manifest.hidden_dtype == "float16" else pa.float32()
    return pa.schema(
        [
            _required("unit", pa.string()),
            _required("sample", pa.string()),
            _required("step", pa.int32()),
            _required("token", pa.int32()),
            _required("token_text", pa.string()),
            _required("needle_hit", pa.bool_()),
            _required("n_active", pa.int32()),
            _required("scores", score_type(manifest, nullable=False)),
            pa.field("ablated_scores", score_type(manifest, nullable=True)),
            pa.field("ablated_heads", pa.list_(INDEX)),
            pa.field("sentence_scores", pa.list_(pa.float32())),
            _required("hidden", pa.list_(hidden, manifest.d_model)),
        ],
        metadata=_declaration(manifest),
    )


def traces_schema(manifest: Manifest) -> pa.Schema:
    """One row a trace."""
    return pa.schema(
        [
            _required("unit", pa.string()),
            _required("sample", pa.string()),
            _required("task", pa.string()),
            _required("question", pa.string()),
            _required("answer", pa.string()),
            _required("text", pa.string()),
            _required("stopped", pa.string()),
            _required("prompt_tokens", pa.list_(pa.int32())),
            _required("needle_positions", pa.list_(pa.int32())),
            _required("threshold", pa.float64()),
            _required("meta", pa.string()),
            _required("n_steps", pa.int32()),
            _required("n_sentences", pa.int32()),
            _required("ablated", pa.bool_()),
            _required("ablated_scored", pa.bool_()),
        ],
        metadata=_declaration(manifest),
    )


def row_bytes(manifest: Manifest) -> int:
    """About how many bytes one row of steps takes in memory."""
    scores = 4 * manifest.n_flat if manifest.scores == "dense" else 64
    return 128 + scores + manifest.d_model * (2 if manifest.hidden_dtype == "float16" else 4)


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


def _declaration(manifest: Manifest) -> Mapping[bytes, bytes]:
    """What a reader needs to unpack a part that lies alone."""
    names = ("schema_version", "model", "revision", "n_layers", "n_heads", "d_model", "score", "scores", "hidden_dtype", "hidden_site")
    return {DECLARATION: json.dumps({name: getattr(manifest, name) for name in names}).encode()}
