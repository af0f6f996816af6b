"""Which traces depend on each other: those that share a needle or a haystack."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from mechdyn.stats.clusters import clusters_by_shared
from mechdyn.tasks.sample import Sample
from mechdyn.tensors import Tensor
from mechdyn.traces.trace import Trace


def trace_clusters(*columns: Sequence[Trace]) -> Int[np.ndarray, " sample"]:
    """A cluster number for each sample, for the `clusters` of `mechdyn.stats.means`.

    Traces share a needle where the needle's tokens are the same, and a haystack where its name and the seed that its text was drawn by are.
    Where both are shared, clusters are the samples that any chain of the two links (`clusters_by_shared`). A file's text that two seeds cut
    differently counts as two.

    Args:
        columns: the traces of the samples; more columns for more traces of each sample in the same order, such as retests.
    """
    return clusters_by_shared([set().union(*map(shared_things, row)) for row in zip(*columns, strict=True)])


def sample_clusters(samples: Sequence[Sample]) -> Int[np.ndarray, " sample"]:
    """The same for samples that are not traced."""
    return clusters_by_shared([_shared(sample.tokens, sample.needle_positions, sample.meta) for sample in samples])


def shared_things(trace: Trace) -> set[Hashable]:
    """What other traces may have as well."""
    return _shared(trace.prompt_tokens, trace.needle_positions, trace.meta)


def _shared(tokens: Int[Tensor, " pos"], needle_positions: Int[Tensor, " needle"], meta: Mapping[str, Any]) -> set[Hashable]:
    """Copies of a sample that were drawn apart (`mechdyn.claims.power`) have nothing in common."""
    needle, drawn = tuple(tokens[needle_positions].tolist()), meta.get("drawn")
    text = (meta.get("haystack"), meta.get("seed"))
    return ({("needle", drawn, *needle)} if needle else set()) | ({("haystack", drawn, *text)} if None not in text else set())
