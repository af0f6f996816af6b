"""Which samples go together in a resample: those that share a needle or a haystack are not independent of each other."""

from collections.abc import Collection, Hashable, Sequence

import numpy as np
import scipy
from jaxtyping import Int


def clusters_by_shared(shared: Sequence[Collection[Hashable]]) -> Int[np.ndarray, " sample"]:
    """A cluster number for each sample, 0 upwards: samples that have a thing in common are in one cluster, and so are those they link.

    What *every* sample has in common parts none of them from the others: the question is then about that thing, and it is left aside.

    Args:
        shared: for each sample what others may have as well, such as its needle's and its haystack's content.
    """
    number: dict[Hashable, int] = {}
    pairs = [(sample, number.setdefault(thing, len(number))) for sample, things in enumerate(shared) for thing in set(things)]
    if not pairs:
        return np.arange(len(shared))
    rows, columns = np.array(pairs).T
    everywhere = np.bincount(columns) == len(shared)
    kept = ~everywhere[columns]
    # Samples and things are the nodes: linking samples to one another would take a square of them where thousands share a haystack.
    size = len(shared) + len(number)
    links = scipy.sparse.coo_array((np.ones(kept.sum()), (rows[kept], len(shared) + columns[kept])), shape=(size, size))
    return scipy.sparse.csgraph.connected_components(links, directed=False)[1][: len(shared)].astype(np.int64)
