"""Area under the precision-recall curve over all heads at once, with intervals by sample."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse
from torch import Tensor

from mechdyn.errors import InputError
from mechdyn.probes.dataset import ProbeRows
from mechdyn.stats.resampling import Draws, Interval, bootstrap_many, draw_weights

_CHUNK_NUMBERS = 4_000_000
"""Cells of the curve held at a time: 32 MB a matrix."""


def auprc(prediction: Float[Tensor, "row head"], rows: ProbeRows, *, seed: int = 0) -> Interval:
    """Average precision, micro-averaged: rows and heads are one list of labels; in [0, 1].

        AP = Σ_t (R_t - R_t-1) P_t   over the distinct predictions t, descending

    This is scikit-learn's `average_precision_score` of the flattened arrays; ties are one threshold, so a constant prediction gives the
    share of positives. NaN where no target is positive; bounds are NaN as well where a resample has none.
    """
    return auprcs([prediction], rows, seed=seed)[0]


def auprc_difference(first: Float[Tensor, "row head"], second: Float[Tensor, "row head"], rows: ProbeRows, *, seed: int = 0) -> Interval:
    """The average precision of `first` less that of `second`, both on the same resamples of samples; in [-1, 1]."""
    return auprcs([first, second], rows, seed=seed)[2]


@dataclass(frozen=True, eq=False)
class _Curve:
    """Labels by sample, cut at the distinct predictions that a positive label has; between those the curve adds nothing to the area."""

    positives: sparse.csr_array
    labels: sparse.csr_array

    def areas(self, weights: Float[np.ndarray, "resample sample"]) -> Float[np.ndarray, " resample"]:
        """Average precision of each resample."""
        if not self.positives.shape[0]:
            return np.full(len(weights), np.nan)
        size = max(1, _CHUNK_NUMBERS // self.positives.shape[0])
        return np.concatenate([self._areas(weights[start : start + size]) for start in range(0, len(weights), size)])

    def _areas(self, weights: Float[np.ndarray, "chunk sample"]) -> Float[np.ndarray, " chunk"]:
        gained = self.positives @ weights.T
        found = gained.cumsum(axis=0)
        listed = (self.labels @ weights.T).cumsum(axis=0)
        precision = np.divide(found, listed, out=np.zeros_like(found), where=listed > 0)
        total = found[-1]
        return np.divide((gained * precision).sum(axis=0), total, out=np.full_like(total, np.nan), where=total > 0)


def auprcs(predictions: Sequence[Float[Tensor, "row head"]], rows: ProbeRows, *, seed: int = 0) -> tuple[Interval, ...]:
    """The average precision of each prediction, then that of the first less that of each other, all on the same resamples."""
    for prediction in predictions:
        if prediction.shape != rows.target.shape:
            raise InputError(f"predictions must be of shape {tuple(rows.target.shape)} (rows, heads), got {tuple(prediction.shape)}")
    curves = [_curve(prediction, rows) for prediction in predictions]

    def statistic(draws: Draws) -> Float[np.ndarray, "resample value"]:
        weights = draw_weights(draws, rows.n_samples)
        areas = [curve.areas(weights) for curve in curves]
        return np.stack([*areas, *(areas[0] - other for other in areas[1:])], axis=1)

    return bootstrap_many(statistic, rows.n_samples, seed=seed)


def _curve(prediction: Float[Tensor, "row head"], rows: ProbeRows) -> _Curve:
    target = rows.target.numpy().ravel() > 0.5
    levels: Int[np.ndarray, " label"] = np.unique(-prediction.numpy().ravel(), return_inverse=True)[1].ravel()
    cuts = np.unique(levels[target])
    place = np.searchsorted(cuts, levels)
    sample = np.repeat(rows.sample.numpy(), rows.target.shape[1])
    counted = place < len(cuts)

    def by_sample(chosen: np.ndarray) -> sparse.csr_array:
        entries = (np.ones(int(chosen.sum())), (place[chosen], sample[chosen]))
        return sparse.coo_array(entries, shape=(len(cuts), rows.n_samples)).tocsr()

    return _Curve(by_sample(target), by_sample(counted))
