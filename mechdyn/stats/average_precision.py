"""Average precision where scores tie."""

import numpy as np
from jaxtyping import Float

Counts = Float[np.ndarray, "group resample"]


def tied_precision(gained: Counts, tied: Counts, found: Counts, before: Counts) -> Counts:
    """What groups of tied labels add to Σ_i y_i P_i, the mean over all orders of each group.

    A group of m labels of which p are positive, behind l labels of which f are, adds p/m · Σ_j (f + 1 + (j − 1)(p − 1)/(m − 1)) / (l + j),
    j from 1 to m. Divided by all positives, the sum over groups is average precision.

    Args:
        gained: p of each group; whole numbers, as are the others.
        tied: m.
        found: f.
        before: l.
    """
    last = int((before + tied).max()) if tied.size else 0
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, last + 1))])
    reciprocals = harmonic[(before + tied).astype(np.int64)] - harmonic[before.astype(np.int64)]
    # Σ_j 1 / (l + j) is `reciprocals`, and Σ_j (j - 1) / (l + j) = m - (l + 1) · reciprocals.
    share = np.divide(gained, tied, out=np.zeros_like(gained), where=tied > 0)
    slope = np.divide(gained - 1, tied - 1, out=np.zeros_like(gained), where=tied > 1)
    return share * ((found + 1) * reciprocals + slope * (tied - (before + 1) * reciprocals))
