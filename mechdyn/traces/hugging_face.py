"""The steps of a store as a Hugging Face `Dataset`, memory-mapped from Arrow files."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool

from mechdyn.traces.manifest import Manifest

if TYPE_CHECKING:
    from datasets import Dataset

_PACKED = ("scores", "ablated_scores", "ablated_heads")
_FIRST = ("unit", "sample", "step", "token", "token_id", "layer", "head", "score", "ablated_layer", "ablated_head")


def dataset_of(files: Sequence[str], kept: Bool[np.ndarray, " row"], cache_dir: str | os.PathLike[str] | None) -> "Dataset":
    """The rows of Parquet files that are kept, with the files' own columns."""
    from datasets import Dataset

    dataset = Dataset.from_parquet(list(files), cache_dir=None if cache_dir is None else os.fspath(cache_dir))
    return dataset if kept.all() else dataset.select(kept.nonzero()[0])


def readable(dataset: "Dataset", manifest: Manifest, thresholds: Mapping[str, float]) -> "Dataset":
    """The same steps with heads as lists of layers and of heads in place of packed indices.

    Args:
        dataset: the steps with the columns of the files.
        manifest: the store's.
        thresholds: of each unit, the score above which a head retrieves.
    """
    about = {"manifest": manifest, "thresholds": dict(thresholds)}
    read = dataset.map(_unpacked, batched=True, fn_kwargs=about, remove_columns=dataset.column_names, desc="reading heads")
    return read.select_columns([*_FIRST, *(name for name in read.column_names if name not in _FIRST)])


def _unpacked(batch: Mapping[str, list[Any]], manifest: Manifest, thresholds: Mapping[str, float]) -> dict[str, list[Any]]:
    """A batch with readable columns: `token` is the text, `token_id` the number."""
    others = {name: values for name, values in batch.items() if name not in (*_PACKED, "token", "token_text")}
    sparse = manifest.scores == "sparse"
    found = [_retrieving(row, sparse, thresholds[unit]) for unit, row in zip(batch["unit"], batch["scores"], strict=True)]
    off = [row or [] for row in batch["ablated_heads"]]
    return {
        **others,
        "token": batch["token_text"],
        "token_id": batch["token"],
        "layer": [[flat // manifest.n_heads for flat, _ in row] for row in found],
        "head": [[flat % manifest.n_heads for flat, _ in row] for row in found],
        "score": [[score for _, score in row] for row in found],
        "ablated_layer": [[flat // manifest.n_heads for flat in row] for row in off],
        "ablated_head": [[flat % manifest.n_heads for flat in row] for row in off],
    }


def _retrieving(row: Sequence[float | int], sparse: bool, threshold: float) -> list[tuple[int, float]]:
    """Flat index and score of the heads that retrieve at a step, ascending; sparse scores are the indices of those that score 1."""
    if sparse:
        return [(int(flat), 1.0) for flat in row] if threshold < 1 else []
    return [(flat, float(score)) for flat, score in enumerate(row) if score is not None and score > threshold]
