"""How many heads of one set are exchanged for others in the next, whatever the sizes of the two."""

import numpy as np
from jaxtyping import Bool, Float


def turnover(first: Bool[np.ndarray, "row head"], second: Bool[np.ndarray, "row head"]) -> Float[np.ndarray, " row"]:
    """min(b, c) / (a + min(b, c)) of each row, with a heads in both sets and b and c in one of them alone; in [0, 1].

    It is 0 where one set holds the other, so a fixed ranking of which a varying number is on has none, and 1 where two sets share no head.
    It is Simpson's dissimilarity, the part of a difference that is replacement rather than loss (Baselga 2010, Global Ecology and
    Biogeography 19, Eq. 2). NaN where either set is empty.
    """
    shared = (first & second).sum(axis=1)
    smaller = np.minimum(first.sum(axis=1), second.sum(axis=1)).astype(np.float64)
    return 1.0 - np.divide(shared, smaller, out=np.full(len(smaller), np.nan), where=smaller > 0)
