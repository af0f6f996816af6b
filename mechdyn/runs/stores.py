"""The store of a run: opened where the run was started before, else made."""

from pathlib import Path

from mechdyn.hashing import content_hash
from mechdyn.models.model import Model
from mechdyn.scores.score import ScoreLike, as_score
from mechdyn.traces.manifest import Manifest, package_versions
from mechdyn.traces.store import TraceStore


def open_store(path: Path, model: Model, *, score: ScoreLike = "copy_paste", seed: int = 0) -> TraceStore:
    """The trace store at `path` for one model and score (as units name it); a store of another run is refused."""
    identity = model.identity()
    named = as_score(score)
    options = dict(named.spec)
    name = options.pop("name")
    template = getattr(model.tokenizer, "chat_template", None)
    manifest = Manifest(
        model=identity["name"],
        revision=identity["revision"],
        dtype=identity["dtype"],
        n_layers=model.n_layers,
        n_heads=model.n_heads,
        d_model=model.d_model,
        template=content_hash(template) if template else "",
        score=name,
        score_options=options,
        scores="sparse" if named.binary else "dense",
        hidden_dtype="float32",
        seeds={"samples": seed},
        packages=package_versions(),
    )
    return TraceStore.open_or_create(path, manifest)
