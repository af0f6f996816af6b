"""Canonical correlation analysis in closed form, and the reductions before it (A.4; docs/definitions.md, "Correlations")."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import scipy
from jaxtyping import Float, Shaped

from mechdyn.errors import InputError

Block: TypeAlias = Shaped[np.ndarray, "_step _column"]

_RANK_TOLERANCE = 1e-10
"""Share of the largest variance below which a direction is rounding, not data."""
_CHUNK_ROWS = 4096


@dataclass(frozen=True, eq=False)
class Whitening:
    """A linear map to uncorrelated columns of variance 1: (x - mean) @ weights."""

    mean: Float[np.ndarray, " column"]
    weights: Float[np.ndarray, "column component"]

    def __call__(self, block: Block) -> Float[np.ndarray, "_step component"]:
        return (np.asarray(block, dtype=np.float64) - self.mean) @ self.weights


@dataclass(frozen=True, eq=False)
class CCAFit:
    """Canonical directions: component c of `x` and component c of `y` correlate by `correlations[c]` on the fitted rows, descending."""

    x: Whitening
    y: Whitening
    correlations: Float[np.ndarray, " component"]


def fit_cca(x: Float[np.ndarray, "row x"], y: Float[np.ndarray, "row y"], *, n_components: int | None = None, floor: float = 0.0) -> CCAFit:
    """Closed form in float64: the canonical correlations are the singular values of U_xᵀ U_y, U being the whitened sides (Hotelling 1936).

    Args:
        x: one side.
        y: the other side, row by row.
        n_components: keep this many; all that the smaller rank allows when left out.
        floor: columns whose standard deviation is not above it count as constant.

    Raises:
        InputError: fewer than 2 rows, or a side without variation.
    """
    if len(x) < 2:
        raise InputError(f"canonical correlations need at least 2 rows, got {len(x)}; give more samples or a smaller offset")
    x_white, y_white = _whiten(x, floor), _whiten(y, floor)
    for side, white in (("first (hidden)", x_white), ("second (scores)", y_white)):
        if white.weights.shape[1] == 0:
            raise InputError(f"canonical correlations need both sides to vary, the {side} side is constant over all {len(x)} rows")
    cross = x_white(x).T @ y_white(y) / len(x)
    left, correlations, right = scipy.linalg.svd(cross, full_matrices=False)
    kept = slice(n_components)
    return CCAFit(
        Whitening(x_white.mean, x_white.weights @ left[:, kept]),
        Whitening(y_white.mean, y_white.weights @ right.T[:, kept]),
        np.clip(correlations[kept], 0.0, 1.0),
    )


def pca_whitening(blocks: Sequence[Block], variance: float, what: str) -> Whitening:
    """The principal components that together hold at least `variance` of the variance, scaled to variance 1.

    Moments are summed chunk by chunk in float64, so the rows are never copied as a whole. `what` names the data in errors.

    Raises:
        InputError: `variance` outside (0, 1], or rows that do not vary.
    """
    if not 0.0 < variance <= 1.0:
        raise InputError(f"the share of variance to keep of {what} must lie in (0, 1], got {variance}")
    n_rows = sum(len(block) for block in blocks)
    mean = sum(chunk.sum(axis=0) for chunk in _chunks(blocks)) / n_rows
    covariance = sum((chunk - mean).T @ (chunk - mean) for chunk in _chunks(blocks)) / n_rows
    values, directions = scipy.linalg.eigh(covariance)
    values, directions = values[::-1], directions[:, ::-1]
    if values[0] <= _RANK_TOLERANCE**2 * float((mean**2).max()):
        raise InputError(f"{what} are constant over all {n_rows} steps, so nothing can correlate with them; trace samples that vary")
    explained = np.cumsum(values) / values.sum()
    n_kept = min(int(np.searchsorted(explained, variance)) + 1, int((values > _RANK_TOLERANCE * values[0]).sum()))
    return Whitening(mean, directions[:, :n_kept] / np.sqrt(values[:n_kept]))


def _chunks(blocks: Sequence[Block]) -> Iterator[Float[np.ndarray, "_row _column"]]:
    """The rows of all blocks in float64, some thousand at a time."""
    waiting: list[Block] = []
    for block in blocks:
        waiting.append(block)
        if sum(len(part) for part in waiting) >= _CHUNK_ROWS:
            yield np.concatenate(waiting).astype(np.float64)
            waiting = []
    if waiting:
        yield np.concatenate(waiting).astype(np.float64)


def _whiten(x: Float[np.ndarray, "row column"], floor: float) -> Whitening:
    """All directions that vary. Columns are scaled to variance 1 first: correlations do not depend on their units, rounding would."""
    x = np.asarray(x, dtype=np.float64)
    mean, spread = x.mean(axis=0), x.std(axis=0)
    varies = spread > np.maximum(floor, 1e-12 * np.abs(mean))
    scale = np.where(varies, 1.0 / np.where(varies, spread, 1.0), 0.0)
    scaled = (x - mean) * scale
    values, directions = scipy.linalg.eigh(scaled.T @ scaled / len(x))
    kept = values > _RANK_TOLERANCE * max(values[-1], 0.5)
    return Whitening(mean, scale[:, None] * directions[:, kept] / np.sqrt(values[kept]))
