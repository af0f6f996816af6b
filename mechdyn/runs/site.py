"""What runs of a sweep have in common: the executor with its loaded models, and the stores that their traces lie in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mechdyn.hashing import content_hash
from mechdyn.models.model import Model
from mechdyn.runs.executors import Executor
from mechdyn.runs.folder import safe_name


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
