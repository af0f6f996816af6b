"""The overlap of a step's heads with as many of a fixed ranking: size alone neither raises nor lowers it."""

import numpy as np
from jaxtyping import Bool, Float, Int

from mechdyn.heads import RankedHeads


def matched_jaccard(sets: Bool[np.ndarray, "row head"], places: Int[np.ndarray, " head"]) -> Float[np.ndarray, " row"]:
    """Jaccard of each set A with the first |A| heads of a ranking, in [0, 1]; NaN where A is empty.

    With a heads of A among the first |A| it is a / (2 |A| − a): 1 for every set of a fixed ranking of which any number is on.

    Args:
        sets: the heads of each step.
        places: each head's place in the ranking, 0 the first (`places_in`).
    """
    sizes = sets.sum(axis=1).astype(np.float64)
    shared = (sets & (places < sizes[:, None])).sum(axis=1)
    return np.divide(shared, 2 * sizes - shared, out=np.full(len(sizes), np.nan), where=sizes > 0)


def places_in(ranking: RankedHeads) -> Int[np.ndarray, " head"]:
    """The place of every head of a model in a ranking of all of them, heads in the order (layer, head)."""
    return np.array([place for _, place in sorted(zip(ranking.heads, range(len(ranking.heads)), strict=True))])
