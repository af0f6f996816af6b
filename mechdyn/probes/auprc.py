"""Area under the precision-recall curve over all heads at once, with intervals by sample."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from mechdyn.errors import InputError
from mechdyn.probes.dataset import ProbeRows
from mechdyn.stats.average_precision import tied_precision
from mechdyn.stats.interval import Interval
from mechdyn.stats.resampling import DIFFERENCE, UNIT, Weights, bootstrap_many
from mechdyn.tensors import Tensor

_CHUNK_NUMBERS = 4_000_000
"""Cells of the curve held at a time: 32 MB a matrix."""


def auprc(prediction: Float[Tensor, "row head"], rows: ProbeRows, *, seed: int = 0) -> Interval:
    """Average precision, micro-averaged: rows and heads are one list of labels; in [0, 1].

        AP = Σ_i y_i P_i / Σ_i y_i   over the labels y_i by descending prediction, P_i the share of positives among the first i

    Tied labels have no order, so AP is the mean over all their orders, in closed form: a group of m labels of which p are positive, behind
    l labels of which f are, adds p/m · Σ_j (f + 1 + (j − 1)(p − 1)/(m − 1)) / (l + j), j from 1 to m. Without ties this is scikit-learn's
    `average_precision_score` of the flattened arrays; with ties that takes each group for one threshold, which is lower. NaN where no
    target is positive; bounds are NaN as well where a resample has none.
    """
    return auprcs([prediction], rows, seed=seed)[0]


def auprc_difference(first: Float[Tensor, "row head"], second: Float[Tensor, "row head"], rows: ProbeRows, *, seed: int = 0) -> Interval:
    """The average precision of `first` less that of `second`, both on the same resamples of samples; in [-1, 1]."""
    return auprcs([first, second], rows, seed=seed)[2]


def auprcs(predictions: Sequence[Float[Tensor, "row head"]], rows: ProbeRows, *, seed: int = 0) -> tuple[Interval, ...]:
    """The average precision of each prediction, then that of the first less that of each other, all on the same resamples."""
    curves = [_curve(prediction, rows) for prediction in predictions]

    def statistic(weights: Weights) -> Float[np.ndarray, "resample value"]:
        areas = [curve.areas(weights) for curve in curves]
        return np.stack([*areas, *(areas[0] - other for other in areas[1:])], axis=1)

    limits = [UNIT] * len(curves) + [DIFFERENCE] * (len(curves) - 1)
    return bootstrap_many(statistic, rows.n_samples, clusters=rows.clusters, limits=limits, seed=seed)


@dataclass(frozen=True, eq=False)
class _Curve:
    """Labels by sample, cut at the distinct predictions that a positive label has; between those the curve adds nothing to the area.

    At each cut: its positive labels, all labels tied there, and all labels since the cut before it, the tied ones included.
    """

    positives: sparse.csr_array
    tied: sparse.csr_array
    labels: sparse.csr_array

    def areas(self, weights: Float[np.ndarray, "resample sample"]) -> Float[np.ndarray, " resample"]:
        """Average precision of each resample; weights are whole numbers."""
        if not self.positives.shape[0]:
            return np.full(len(weights), np.nan)
        size = max(1, _CHUNK_NUMBERS // self.positives.shape[0])
        return np.concatenate([self._areas(weights[start : start + size]) for start in range(0, len(weights), size)])

    def _areas(self, weights: Float[np.ndarray, "chunk sample"]) -> Float[np.ndarray, " chunk"]:
        gained, tied = self.positives @ weights.T, self.tied @ weights.T
        listed = (self.labels @ weights.T).cumsum(axis=0)
        found = gained.cumsum(axis=0) - gained
        before = listed - tied
        added = tied_precision(gained, tied, found, before)
        total = gained.sum(axis=0)
        area = np.divide(added.sum(axis=0), total, out=np.full_like(total, np.nan), where=total > 0)
        return np.minimum(area, 1.0)  # but for rounding it is


def _curve(prediction: Float[Tensor, "row head"], rows: ProbeRows) -> _Curve:
    if prediction.shape != rows.target.shape:
        raise InputError(f"predictions must be of shape {tuple(rows.target.shape)} (rows, heads), got {tuple(prediction.shape)}")
    target = rows.target.numpy().ravel() > 0.5
    levels: Int[np.ndarray, " label"] = np.unique(-prediction.numpy().ravel(), return_inverse=True)[1].ravel()
    cuts = np.unique(levels[target])
    place = np.searchsorted(cuts, levels)
    sample = np.repeat(rows.sample.numpy(), rows.target.shape[1])
    counted = place < len(cuts)
    at_cut = np.isin(levels, cuts)

    def by_sample(chosen: np.ndarray) -> sparse.csr_array:
        entries = (np.ones(int(chosen.sum())), (place[chosen], sample[chosen]))
        return sparse.coo_array(entries, shape=(len(cuts), rows.n_samples)).tocsr()

    return _Curve(by_sample(target), by_sample(at_cut), by_sample(counted))
