"""What stands in a role for a unit that has no trace: it failed for good, or was not run yet. Roles keep their order and length by it."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mechdyn.runs.failure import Failure
from mechdyn.traces.manifest import Manifest
from mechdyn.traces.store import TraceStore
from mechdyn.traces.stored import StoredTrace


def load_role(store: TraceStore, keys: Sequence[str], absent: Callable[[str], StoredTrace]) -> list[StoredTrace]:
    """The traces of a role in the order of its keys, with a stand-in for each that the store lacks."""
    present = store.keys()
    found = {trace.unit: trace for trace in store.stored([key for key in keys if key in present])}
    return [found[key] if key in found else absent(key) for key in keys]


def failed_trace(key: str, task: str, manifest: Manifest, failures: Mapping[str, Failure]) -> StoredTrace:
    """A trace of no step that stopped in an error: judges count it with those that failed, never with those that retrieve nothing."""
    failure = failures.get(key)
    none = np.zeros(0, dtype=np.int64)
    return StoredTrace(
        unit=key,
        sample="",
        task=task,
        question="",
        answer="none: there is no trace",
        prompt_tokens=none,
        needle_positions=none,
        tokens=none,
        token_texts=(),
        text="",
        retrieval_scores=np.zeros((0, manifest.n_layers, manifest.n_heads), dtype=np.float32),
        hidden=np.zeros((0, manifest.d_model), dtype=np.float32),
        stopped="error",
        meta={"error": str(failure) if failure else "not run yet", "absent": True},
    )
