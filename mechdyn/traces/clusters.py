"""Which traces depend on each other: those that share a needle or a haystack."""

from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Int

from mechdyn.stats.clusters import clusters_by_shared
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


def shared_things(trace: Trace) -> set[Hashable]:
    """What other traces may have as well. Copies of a sample that were drawn apart (`mechdyn.claims.power`) have nothing in common."""
    needle, drawn = tuple(trace.prompt_tokens[trace.needle_positions].tolist()), trace.meta.get("drawn")
    text = (trace.meta.get("haystack"), trace.meta.get("seed"))
    return ({("needle", drawn, *needle)} if needle else set()) | ({("haystack", drawn, *text)} if None not in text else set())
