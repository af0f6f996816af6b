"""What two sets of heads share by chance: where many of a model's few heads retrieve, any two sets overlap."""

import numpy as np
import scipy
from jaxtyping import Float, Int


def chance_jaccard(first: Int[np.ndarray, " row"], second: Int[np.ndarray, " row"], total: int) -> Float[np.ndarray, " row"]:
    """Mean Jaccard of two sets of these sizes, drawn independently from `total` heads, each of them as likely as any other.

    The heads that both hold are hypergeometric: Σ_a P(a) a / (k + m − a), exact, in [0, 1]; NaN for two empty sets.
    """
    pairs, at = np.unique(np.column_stack([first, second]), axis=0, return_inverse=True)
    k, m = pairs[:, :1].astype(np.float64), pairs[:, 1:].astype(np.float64)
    shared = np.arange(pairs.min(axis=1).max(initial=0) + 1, dtype=np.float64)
    possible = (shared <= np.minimum(k, m)) & (shared >= k + m - total)
    a = np.where(possible, shared, np.maximum(0, k + m - total))
    log_p = _log_choose(k, a) + _log_choose(total - k, m - a) - _log_choose(total, m)
    jaccard = np.divide(a, k + m - a, out=np.full(a.shape, np.nan), where=k + m > 0)
    return (np.where(possible, np.exp(log_p), 0.0) * jaccard).sum(axis=1)[at.ravel()]


def _log_choose(n: Float[np.ndarray, "*shape"] | int, k: Float[np.ndarray, "*other"]) -> Float[np.ndarray, "*both"]:
    return scipy.special.gammaln(np.add(n, 1)) - scipy.special.gammaln(k + 1) - scipy.special.gammaln(np.subtract(n, k) + 1)
