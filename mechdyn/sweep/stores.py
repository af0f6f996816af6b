"""The store of a run: opened where the run was started before, else made."""

from pathlib import Path

from mechdyn.hashing import content_hash
from mechdyn.models.model import Model
from mechdyn.traces.manifest import Manifest, package_versions
from mechdyn.traces.store import TraceStore


def open_store(path: Path, model: Model, *, score: str = "copy_paste", seed: int = 0) -> TraceStore:
    """The trace store at `path` for one model and score; a store of another run is refused."""
    identity = model.identity()
    template = getattr(model.tokenizer, "chat_template", None)
    manifest = Manifest(
        model=identity["name"],
        revision=identity["revision"],
        dtype=identity["dtype"],
        n_layers=model.n_layers,
        n_heads=model.n_heads,
        d_model=model.d_model,
        template=content_hash(template) if template else "",
        score=score,
        scores="sparse" if score == "copy_paste" else "dense",
        hidden_dtype="float32",
        seeds={"samples": seed},
        packages=package_versions(),
    )
    return TraceStore.open_or_create(path, manifest)
