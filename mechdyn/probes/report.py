"""How good predictions are (Tables 2 and 3), every number with its interval by sample."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

from mechdyn.errors import InputError
from mechdyn.probes.auprc import auprc
from mechdyn.probes.dataset import ProbeData, ProbeRows
from mechdyn.probes.probe import Predictor
from mechdyn.stats.interval import Interval
from mechdyn.stats.resampling import UNIT, Weights, bootstrap_many
from mechdyn.tensors import Tensor

Predicted: TypeAlias = Float[Tensor, "row head"]
PerSample: TypeAlias = Float[np.ndarray, "_sample ..."]
_LEAST_VARIANCE = 1e-12


@dataclass(frozen=True)
class ClassifierReport:
    """Table 2, micro-averaged over rows and heads. Precision and the like are NaN where undefined; `n_labels` is rows times heads."""

    threshold: float
    precision: Interval
    recall: Interval
    f1: Interval
    auprc: Interval
    n_labels: int
    n_positive: int


@dataclass(frozen=True)
class RegressorReport:
    """Table 3.

    R² is the mean over the heads that vary in these rows (the paper does not say how it averages); `r2_weighted` weights each head by its
    variance. `n_constant` heads are in neither.
    """

    mse: Interval
    mae: Interval
    r2: Interval
    r2_weighted: Interval
    n_constant: int


Report: TypeAlias = ClassifierReport | RegressorReport


def report(predictor: Predictor, data: ProbeData, *, seed: int = 0) -> Report:
    """Evaluate on the test samples; a classifier at the threshold with the best F1 on the validation samples (A.5).

    Raises:
        InputError: binary targets without a positive one in validation.
    """
    prediction = predictor(data.test)
    if not data.binary:
        return regression(prediction, data.test, seed=seed)
    return classification(prediction, data.test, best_threshold(predictor(data.validation), data.validation.target), seed=seed)


def compare(predictors: Mapping[str, Predictor], data: ProbeData, *, seed: int = 0) -> dict[str, Report]:
    """A report for each predictor, on the same test samples and the same resamples of them."""
    return {name: report(predictor, data, seed=seed) for name, predictor in predictors.items()}


def best_threshold(prediction: Predicted, target: Predicted) -> float:
    """The prediction from which on counting as positive gives the highest F1, over all heads together.

    Raises:
        InputError: no positive target.
    """
    if not bool((target > 0).any()):
        raise InputError("a threshold needs a retrieving step among the validation samples, there is none; trace more samples")
    from sklearn.metrics import precision_recall_curve  # takes a second to import

    precision, recall, thresholds = precision_recall_curve(target.numpy().ravel(), prediction.numpy().ravel())
    scores = 2 * precision * recall / np.maximum(precision + recall, np.finfo(np.float64).tiny)
    return float(thresholds[scores[:-1].argmax()])


def classification(prediction: Predicted, rows: ProbeRows, threshold: float, *, seed: int = 0) -> ClassifierReport:
    """Precision TP / (TP + FP), recall TP / (TP + FN), F1 2 TP / (2 TP + FP + FN) where predictions reach the threshold; and AUPRC."""
    target, chosen = rows.target > 0.5, prediction >= threshold
    counts = [_by_sample(mask.sum(dim=1), rows) for mask in (target & chosen, ~target & chosen, target & ~chosen)]

    def statistic(weights: Weights) -> Float[np.ndarray, "resample value"]:
        hits, false, missed = (weights @ count for count in counts)
        with np.errstate(invalid="ignore"):
            return np.stack([hits / (hits + false), hits / (hits + missed), 2 * hits / (2 * hits + false + missed)], axis=1)

    precision, recall, f1 = bootstrap_many(statistic, rows.n_samples, clusters=rows.clusters, limits=UNIT, seed=seed)
    area = auprc(prediction, rows, seed=seed)
    return ClassifierReport(threshold, precision, recall, f1, area, target.numel(), int(target.sum()))


def regression(prediction: Predicted, rows: ProbeRows, *, seed: int = 0) -> RegressorReport:
    """MSE and MAE over rows and heads, R² = 1 - Σ (y - ŷ)² / Σ (y - mean y)² of each head."""
    target = rows.target.double()
    centred = target - target.mean(dim=0)
    varies = (centred**2).mean(dim=0).numpy() > _LEAST_VARIANCE
    error = target - prediction.double()
    squares, absolute, first, second = (_by_sample(values, rows) for values in (error**2, error.abs(), centred, centred**2))
    n_rows = np.bincount(rows.sample.numpy(), minlength=rows.n_samples).astype(np.float64)

    def statistic(weights: Weights) -> Float[np.ndarray, "resample value"]:
        steps = (weights @ n_rows)[:, None]
        square, distance = weights @ squares / steps, weights @ absolute / steps
        variance = (weights @ second / steps - (weights @ first / steps) ** 2)[:, varies]
        known = variance > _LEAST_VARIANCE
        unexplained = np.divide(square[:, varies], variance, out=np.full_like(variance, np.nan), where=known)
        n_known, total = known.sum(axis=1), np.where(known, variance, 0.0).sum(axis=1)
        with np.errstate(invalid="ignore"):
            r2 = 1 - np.nansum(unexplained, axis=1) / n_known
            weighted = 1 - np.where(known, square[:, varies], 0.0).sum(axis=1) / total
        return np.stack([square.mean(axis=1), distance.mean(axis=1), r2, weighted], axis=1)

    mse, mae, r2, weighted = bootstrap_many(statistic, rows.n_samples, clusters=rows.clusters, seed=seed)
    return RegressorReport(mse, mae, r2, weighted, int((~varies).sum()))


def auprc_by_head(prediction: Predicted, rows: ProbeRows) -> Float[np.ndarray, " head"]:
    """Each head's own average precision; NaN for a head without a positive target in these rows."""
    from sklearn.metrics import average_precision_score  # takes a second to import

    target = rows.target.numpy() > 0.5
    scores = prediction.numpy()
    return np.array([average_precision_score(column, scores[:, head]) if column.any() else np.nan for head, column in enumerate(target.T)])


def r2_by_head(prediction: Predicted, rows: ProbeRows) -> Float[np.ndarray, " head"]:
    """Each head's own R², at most 1; NaN for a head that does not vary in these rows."""
    target = rows.target.double()
    variance = target.var(dim=0, correction=0)
    unexplained = ((target - prediction.double()) ** 2).mean(dim=0) / variance
    return (1 - unexplained).where(variance > _LEAST_VARIANCE, np.nan).numpy()


def _by_sample(values: Tensor, rows: ProbeRows) -> PerSample:
    """Sums over the rows of each sample."""
    sums = np.zeros((rows.n_samples, *values.shape[1:]))
    np.add.at(sums, rows.sample.numpy(), values.numpy().astype(np.float64))
    return sums
