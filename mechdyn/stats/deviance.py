"""What predicts which heads fire: deviance explained, on needles that the prediction was not fitted on.

The deviance of a prediction is −2 log likelihood of what every head did at every step; what is explained is

    D = 1 − deviance / deviance of each head's base rate,

both on held-out steps, the base rate from the training steps too. 1 is a perfect prediction, 0 what the base rates give; below 0 the
predictor does harm, so it says nothing. Predictions are penalised logistic regressions (`mechdyn.stats.logistic`), cross-fitted by cluster:
each fold of the needles is predicted from the others, the penalty chosen on a quarter of those. Intervals resample needles, fits held.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from mechdyn.errors import InputError
from mechdyn.stats.interval import Interval
from mechdyn.stats.labels import Clusters, cluster_index
from mechdyn.stats.logistic import deviances, fit_logistic
from mechdyn.stats.resampling import Weights, bootstrap_many

PENALTIES = (1.0, 10.0, 100.0)
N_FOLDS = 5
LEAST_FIRINGS = 10
"""Heads that fire at fewer steps are left out: a fold would hold one or two of them."""
_LEAST_CLUSTERS = 3
_VALIDATION = 4
Rows = Bool[np.ndarray, " row"]


@dataclass(frozen=True, eq=False)
class StepPredictor:
    """Something known of each step.

    Attributes:
        columns: one row a step. Of a category, 0 and 1 for each value; else numbers, which are standardised.
        is_category: which of the two.
        n_components: keep this many principal components of the numbers, found on the training steps.
    """

    columns: Float[np.ndarray, "row column"]
    is_category: bool = True
    n_components: int | None = None

    @classmethod
    def category(cls, values: Sequence[object] | Int[np.ndarray, " row"]) -> "StepPredictor":
        """A column of 0 and 1 for each different value."""
        _, index = np.unique(np.asarray(values), return_inverse=True)
        return cls(np.eye(index.max() + 1)[index])

    def features(self, train: Rows) -> Float[np.ndarray, "row feature"]:
        """Features of all rows, scaled by the training ones."""
        if self.is_category:
            return self.columns
        mean, deviation = self.columns[train].mean(axis=0), self.columns[train].std(axis=0)
        scaled = (self.columns - mean) / np.where(deviation > 0, deviation, 1.0)
        if self.n_components is None:
            return scaled
        _, sizes, directions = np.linalg.svd(scaled[train], full_matrices=False)
        kept = min(self.n_components, int((sizes > 1e-9 * sizes[0]).sum()))
        return scaled @ directions[:kept].T / (sizes[:kept] / np.sqrt(train.sum()))


@dataclass(frozen=True)
class DevianceExplained:
    """Deviance explained, by predictor.

    Attributes:
        alone: by each predictor without the others.
        together: by it and all before it, in the order in which they were given.
        added: what it adds to those before it, `together` less the one before.
        n_heads: heads that fire at `LEAST_FIRINGS` steps or more; the others are left out.
        n_rows: steps.
        n_clusters: needles.
    """

    alone: Mapping[str, Interval]
    together: Mapping[str, Interval]
    added: Mapping[str, Interval]
    n_heads: int
    n_rows: int
    n_clusters: int


def deviance_explained(
    fires: Bool[np.ndarray, "row head"],
    predictors: Mapping[str, StepPredictor],
    clusters: Clusters,
    *,
    seed: int = 0,
    n_resamples: int = 2000,
    done: Callable[[], object] = lambda: None,
) -> DevianceExplained:
    """Deviance explained by each predictor alone, and by the first, the first two and so on.

    Args:
        fires: what each head does at each step.
        predictors: by name, in the order in which they are added.
        clusters: a label for each row; rows of one label fall into one fold.
        seed: of the folds and the resamples.
        n_resamples: resamples of the clusters.
        done: called after each model of a fold, for a progress bar.

    Raises:
        InputError: no predictor, fewer than three clusters, or no head that fires often enough.
    """
    index = cluster_index(clusters, len(fires))
    names, n_clusters = list(predictors), int(index.max(initial=-1)) + 1
    kept = fires[:, (fires.sum(axis=0) >= LEAST_FIRINGS) & ~fires.all(axis=0)]
    if not names:
        raise InputError("deviance is explained by at least one predictor, got none")
    if n_clusters < _LEAST_CLUSTERS:
        raise InputError(f"cross-fitting needs at least {_LEAST_CLUSTERS} needles that are answered rightly, got {n_clusters}")
    if not kept.shape[1]:
        raise InputError(f"no head fires at {LEAST_FIRINGS} of {len(fires)} steps, so there is nothing to predict; trace more samples")
    models = [[], *([name] for name in names), *(names[: end + 1] for end in range(1, len(names)))]
    sums = np.zeros((n_clusters, len(models)))
    for test in _folds(index, n_clusters, seed):
        for column, chosen in enumerate(models):
            lost = _held_out([predictors[name] for name in chosen], kept, index, test)
            sums[:, column] += np.bincount(index[test], lost, minlength=n_clusters)
            done()
    return _explained(names, sums, kept, seed, n_resamples)


def _folds(index: Int[np.ndarray, " row"], n_clusters: int, seed: int) -> list[Rows]:
    """The rows of each fold."""
    shuffled = np.random.default_rng(seed).permutation(n_clusters)
    n_folds = min(N_FOLDS, n_clusters)
    return [np.isin(index, shuffled[fold::n_folds]) for fold in range(n_folds)]


def _held_out(
    predictors: Sequence[StepPredictor], fires: Bool[np.ndarray, "row head"], index: Int[np.ndarray, " row"], test: Rows
) -> Float[np.ndarray, " tested"]:
    """The deviance of each test row under a regression that was fitted on the others."""
    train = ~test
    if not predictors:
        return _deviances_of(np.zeros((len(fires), 0)), fires, train, test, 1.0)
    features = np.concatenate([predictor.features(train) for predictor in predictors], axis=1)
    validation = train & np.isin(index, np.unique(index[train])[::_VALIDATION])
    inner = train & ~validation
    penalty = min(PENALTIES, key=lambda penalty: _deviances_of(features, fires, inner, validation, penalty).sum())
    return _deviances_of(features, fires, train, test, penalty)


def _deviances_of(
    features: Float[np.ndarray, "row feature"], fires: Bool[np.ndarray, "row head"], train: Rows, test: Rows, penalty: float
) -> Float[np.ndarray, " tested"]:
    return deviances(fit_logistic(features[train], fires[train], penalty).log_odds(features[test]), fires[test])


def _explained(
    names: Sequence[str],
    sums: Float[np.ndarray, "cluster model"],
    fires: Bool[np.ndarray, "row head"],
    seed: int,
    n_resamples: int,
) -> DevianceExplained:
    """From each cluster's deviance under the base rates, each predictor alone, and the first two, three and so on."""
    n = len(names)
    last = [1, *range(n + 1, 2 * n)]

    def statistic(weights: Weights) -> Float[np.ndarray, "resample value"]:
        lost = weights @ sums
        explained = 1.0 - lost[:, 1:] / lost[:, :1]
        together = explained[:, [model - 1 for model in last]]
        added = np.diff(together, axis=1, prepend=0.0)
        return np.concatenate([explained[:, :n], together, added], axis=1)

    found = bootstrap_many(statistic, len(sums), seed=seed, n_resamples=n_resamples)
    alone, together, added = (dict(zip(names, found[start : start + n], strict=True)) for start in (0, n, 2 * n))
    return DevianceExplained(alone, together, added, fires.shape[1], len(fires), len(sums))
