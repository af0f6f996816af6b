"""What runs of a sweep have in common: the executor with its loaded models, and the stores that their traces lie in.

A run whose store lies elsewhere says where in a file beside its list of roles: `traces.at.json` holds `{"store": …}`, a path from the
run's folder or a URL.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mechdyn.errors import StoreError
from mechdyn.hashing import content_hash
from mechdyn.models.model import Model
from mechdyn.runs.executors import Executor
from mechdyn.runs.folder import is_url, read_json, safe_name, write_json

_POINTER = ".at.json"


@dataclass(frozen=True, eq=False)
class Site:
    """Where and by what a run is carried out; `stores` is a folder or an `fsspec` URL of stores that several runs share."""

    executor: Executor | None = None
    stores: str | None = None

    def store_of(self, model: Model, score: Mapping[str, Any], seed: int) -> str:
        """The store for the traces of a model under a score, with samples drawn by a seed."""
        identity = {**model.identity(), "score": dict(score), "seed": seed}
        name = safe_name(f"{identity['name']}-{score['name']}-{seed}-{content_hash(identity)[:8]}")
        return f"{self.stores}/{name}"


HERE = Site()
"""Nothing shared: an executor of the run's own, and the store in its folder."""


def write_pointer(folder: Path, name: str, store: str) -> None:
    """Say where a store of the run lies."""
    write_json(folder / f"{name}{_POINTER}", {"store": store if is_url(store) else os.path.relpath(store, folder)})


def find_stores(folder: Path) -> dict[str, str]:
    """The stores of a run by name: those in its folder, and those elsewhere that it points to.

    Raises:
        StoreError: a pointer that is damaged.
    """
    found = {each.name: str(each) for each in folder.glob("traces*") if each.is_dir()}
    for pointer in folder.glob(f"traces*{_POINTER}"):
        content = read_json(pointer)
        store = content.get("store") if isinstance(content, dict) else None
        if not isinstance(store, str):
            raise StoreError(f"{pointer} does not say where the store is; restore it, or run again")
        found[pointer.name.removesuffix(_POINTER)] = store if is_url(store) else str(folder / store)
    return dict(sorted(found.items()))
