"""What a measure tells beyond others about a yes or no: the gain in log-loss on samples that the models were not fitted on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from mechdyn.errors import InputError
from mechdyn.stats.interval import Interval
from mechdyn.stats.labels import Clusters, cluster_index
from mechdyn.stats.means import bootstrap_mean

N_FOLDS = 5
LEAST_OF_EACH = 100
"""Rows of the rarer outcome below which no interval is given: one from so few holds the truth in 80 to 86 % of runs (docs/coverage.md)."""
_LEAST_P = 1e-6
"""Predicted probabilities are kept this far from 0 and 1, so that no single row decides."""


@dataclass(frozen=True)
class Gain:
    """Held-out log-loss in nats a row: of the model without the measure, of the one with it, and the first less the second."""

    without: Interval
    with_it: Interval
    gain: Interval


def folds_of(clusters: Clusters, n_folds: int = N_FOLDS, *, seed: int = 0) -> Int[np.ndarray, " sample"]:
    """The fold of each sample, whole clusters together, folds of about as many clusters.

    Raises:
        InputError: fewer clusters than folds, or fewer than 2 folds.
    """
    index = cluster_index(clusters, len(clusters))
    n_clusters = int(index.max(initial=-1)) + 1
    if n_folds < 2 or n_clusters < n_folds:
        raise InputError(
            f"cross-fitting needs 2 folds or more and a sample of its own in each, got {n_folds} folds and {n_clusters} samples"
        )
    return (np.random.default_rng(seed).permutation(n_clusters) % n_folds)[index]


def cross_fitted_loss(
    columns: Float[np.ndarray, "row column"], outcome: Bool[np.ndarray, " row"], fold: Int[np.ndarray, " row"]
) -> Float[np.ndarray, " row"]:
    """Each row's log-loss, −ln of what a logistic model that was fitted on the other folds gave to its outcome.

    Columns are standardised by the training rows; the coefficients have a penalty of half their squared length, the intercept none.
    Training rows of one outcome alone give their share, of which half a row is taken for the other.
    """
    from sklearn.linear_model import LogisticRegression  # takes a second to import

    losses = np.empty(len(outcome))
    for each in np.unique(fold):
        train, test = fold != each, fold == each
        if outcome[train].all() or not outcome[train].any():
            p = np.full(int(test.sum()), (outcome[train].sum() + 0.5) / (train.sum() + 1))
        else:
            spread = columns[train].std(axis=0)
            scaled = (columns - columns[train].mean(axis=0)) / np.where(spread > 0, spread, 1.0)
            model = LogisticRegression(C=1.0, max_iter=1000).fit(scaled[train], outcome[train])
            p = model.predict_proba(scaled[test])[:, 1]
        p = np.clip(p, _LEAST_P, 1 - _LEAST_P)
        losses[test] = -np.log(np.where(outcome[test], p, 1 - p))
    return losses


def log_loss_gain(
    known: Float[np.ndarray, "row column"],
    measure: Float[np.ndarray, "row more"],
    outcome: Bool[np.ndarray, " row"],
    sample: Int[np.ndarray, " row"],
    clusters: Clusters,
    *,
    seed: int = 0,
) -> Gain:
    """What a measure adds to what is known, Σ loss without − Σ loss with it over all rows, divided by the rows.

    Each row is judged by models fitted on other folds (`folds_of`); intervals are bootstrapped by sample, clusters together. How the models
    would differ if they were fitted on other samples is not part of them, which with few rows of one outcome is the greater part: below
    `LEAST_OF_EACH` the bounds are NaN.

    Args:
        known: columns of both models.
        measure: columns of the second model alone.
        outcome: what is predicted.
        sample: the sample of each row, from 0.
        clusters: a label for each sample; samples of one label are in one fold and drawn together.
        seed: of folds and bootstrap.

    Raises:
        InputError: too few samples for the folds.
    """
    fold = folds_of(clusters, seed=seed)[sample]
    without = cross_fitted_loss(known, outcome, fold)
    with_it = cross_fitted_loss(np.concatenate([known, measure], axis=1), outcome, fold)
    counts = np.bincount(sample, minlength=len(clusters))
    enough = min(np.count_nonzero(outcome), np.count_nonzero(~outcome)) >= LEAST_OF_EACH

    def mean(values: Float[np.ndarray, " row"]) -> Interval:
        found = bootstrap_mean(np.bincount(sample, weights=values, minlength=len(clusters)), counts, _labels(clusters), seed=seed)
        return found if enough else Interval(found.estimate, math.nan, math.nan, found.n)

    return Gain(mean(without), mean(with_it), mean(without - with_it))


def _labels(clusters: Clusters) -> Sequence[int]:
    return cluster_index(clusters, len(clusters)).tolist()
