"""Entropy of how often each head retrieves, with and without the heads that were not seen."""

import numpy as np
import scipy
from jaxtyping import Float

Counts = Float[np.ndarray, "_row _head"]
PerRow = Float[np.ndarray, " _row"]


def plain_entropy(counts: Counts, whole: Float[np.ndarray, " _row"]) -> PerRow:
    """−Σ p ln p in nats, p being each count's share of the row's `whole`; NaN where nothing was counted."""
    values = scipy.special.entr(counts / whole[:, None]).sum(axis=1)
    return np.where(counts.any(axis=1), values, np.nan)


def chao_shen_entropy(counts: Counts) -> PerRow:
    """The entropy that counts point to, heads that happened not to be counted included (Chao and Shen 2003), in nats; NaN without a count.

        H = −Σ C p ln(C p) / (1 − (1 − C p)ⁿ)

    with n the sum of the counts, p each count's share of it and C = 1 − f₁ / n the estimated share of the population that was seen, f₁
    being how many heads were counted once; where all were, f₁ counts as n − 1. The plain entropy leans low where many heads are rare, this
    one hardly. It takes the counts for independent draws; steps of one answer are not, so it may still lean low.
    """
    total = counts.sum(axis=1)
    once = (counts == 1).sum(axis=1)
    once = np.where(once == total, total - 1, once)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (1 - once / total)[:, None] * counts / total[:, None]
        seen = -np.expm1(total[:, None] * np.log1p(-share))
        values = np.where(counts > 0, scipy.special.entr(share) / seen, 0.0).sum(axis=1)
    return np.where(total > 0, values, np.nan)
