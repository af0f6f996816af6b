"""Pairs of steps and their correlations, as canonical correlations by offset and cross-fitted ones both take them."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

from mechdyn.errors import InputError
from mechdyn.stats.cca import Block

Reduced: TypeAlias = Sequence[Float[np.ndarray, "_step _component"]]
Rows: TypeAlias = Float[np.ndarray, "_row _component"]
_VARIANCE_FLOOR = 1e-12


def check_samples(samples: Sequence[tuple[Block, Block]], offsets: Sequence[int], n_components: int, n_nulls: int) -> None:
    """Refuse samples that do not fit together, and numbers that make no sense.

    Raises:
        InputError: one of these, named.
    """
    if not offsets or min(offsets) < 0:
        raise InputError(f"offsets must be 0 or more, at least one of them, got {list(offsets)}")
    if n_components < 1 or n_nulls < 1:
        raise InputError(f"n_components and n_nulls must be at least 1, got {n_components} and {n_nulls}")
    widths = {(hidden.shape[1], scores.shape[1]) for hidden, scores in samples}
    if len(widths) > 1:
        raise InputError(f"samples must come from one model, got (d_model, heads) of {sorted(widths)}")
    for index, (hidden, scores) in enumerate(samples):
        if len(hidden) != len(scores):
            raise InputError(f"sample {index} has {len(hidden)} hidden states but scores of {len(scores)} steps; it needs one each a step")
        if not (np.isfinite(hidden).all() and np.isfinite(scores).all()):
            raise InputError(f"sample {index} holds NaN or infinite values; store hidden states in fp32 if they overflow fp16")


def min_max(blocks: Sequence[Block]) -> tuple[Callable[[Block], Block], int]:
    """Scaling of each head to [0, 1] over all blocks without the heads that never vary, and how many those are."""
    low = np.min([block.min(axis=0) for block in blocks], axis=0).astype(np.float64)
    span = np.max([block.max(axis=0) for block in blocks], axis=0) - low
    varies = span > 0
    if not varies.any():
        raise InputError(
            f"retrieval scores are constant over every step for all {len(span)} heads, so nothing correlates with them; "
            "trace samples whose answers retrieve"
        )
    return lambda block: (block[:, varies] - low[varies]) / span[varies], int((~varies).sum())


def other_samples(n: int, rng: np.random.Generator) -> list[int]:
    """For each of `n` samples another one, drawn as one cycle through all."""
    cycle = rng.permutation(n)
    partner = dict(zip(cycle.tolist(), np.roll(cycle, -1).tolist(), strict=True))
    return [partner[index] for index in range(n)]


def pair_rows(first: Reduced, later: Reduced, offset: int) -> tuple[Rows, Rows, list[int]]:
    """Rows n of each block of `first` beside rows n + offset of the same block of `later`, and how many each gives."""
    sizes = [min(len(one), len(other) - offset) for one, other in zip(first, later, strict=True)]
    x = np.concatenate([block[:size] for block, size in zip(first, sizes, strict=True)])
    y = np.concatenate([block[offset : offset + size] for block, size in zip(later, sizes, strict=True)])
    return x, y, sizes


def sample_moments(u: Float[np.ndarray, "row c"], v: Float[np.ndarray, "row c"], sizes: Sequence[int]) -> Float[np.ndarray, "6 sample c"]:
    """Each sample's sums of 1, u, v, u², v² and uv: correlations of any resample follow from them."""
    starts = np.cumsum([0, *sizes[:-1]])
    return np.stack([np.add.reduceat(column, starts, axis=0) for column in (np.ones_like(u), u, v, u * u, v * v, u * v)])


def pearson(moments: Float[np.ndarray, "6 resample c"]) -> Float[np.ndarray, "resample c"]:
    """Correlations from summed moments; NaN where a side does not vary."""
    u, v, uu, vv, uv = moments[1:] / moments[0]
    scale = (uu - u * u) * (vv - v * v)
    return np.where(scale > _VARIANCE_FLOOR, (uv - u * v) / np.sqrt(np.maximum(scale, _VARIANCE_FLOOR)), np.nan)
