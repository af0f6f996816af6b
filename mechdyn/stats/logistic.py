"""Penalised logistic regression of many heads on the same features, all heads at once."""

from dataclasses import dataclass

import numpy as np
import scipy
from jaxtyping import Bool, Float

from mechdyn.errors import InputError

_HALF = 0.5
_MOST_ITERATIONS = 300


@dataclass(frozen=True, eq=False)
class Logistic:
    """log odds = intercept + (features − mean) · weights, for each head."""

    mean: Float[np.ndarray, " feature"]
    weights: Float[np.ndarray, "feature head"]
    intercept: Float[np.ndarray, " head"]

    def log_odds(self, features: Float[np.ndarray, "row feature"]) -> Float[np.ndarray, "row head"]:
        return self.intercept + (features - self.mean) @ self.weights


def fit_logistic(features: Float[np.ndarray, "row feature"], fires: Bool[np.ndarray, "row head"], penalty: float) -> Logistic:
    """Minimise, for each head, the negative log likelihood plus ½ · penalty · |weights|².

    The intercept is not penalised. One observation is added, half of it a firing and half a silence, at the mean of the features: without
    features the fitted rate is (firings + ½) / (rows + 1), so that a head that never fires has finite log odds too. Rows with the same
    features are counted together.

    Args:
        features: may have no column.
        fires: what each head does at each row.
        penalty: above 0, in units of squared features summed over rows.

    Raises:
        InputError: no row, rows that do not match, or a penalty that is not above 0.
    """
    if not penalty > 0:
        raise InputError(f"a penalty must be above 0, got {penalty}")
    if len(features) != len(fires) or not len(features):
        raise InputError(f"a logistic regression needs one row of features for each of firings, got {len(features)} and {len(fires)}")
    mean = features.mean(axis=0)
    rows, counts, hits = _counted(features - mean, fires)
    n_features, n_heads = rows.shape[1], fires.shape[1]
    rate = (fires.sum(axis=0) + _HALF) / (len(fires) + 1)
    start = np.concatenate([scipy.special.logit(rate)[None, :], np.zeros((n_features, n_heads))])
    if not n_features:
        return Logistic(mean, start[1:], start[0])

    def loss(flat: Float[np.ndarray, " parameter"]) -> tuple[float, Float[np.ndarray, " parameter"]]:
        parameters = flat.reshape(start.shape)
        intercept, weights = parameters[0], parameters[1:]
        odds = intercept + rows @ weights
        value = (counts[:, None] * np.logaddexp(0.0, odds) - hits * odds).sum()
        value += (np.logaddexp(0.0, intercept) - _HALF * intercept).sum() + 0.5 * penalty * (weights**2).sum()
        residual = counts[:, None] * scipy.special.expit(odds) - hits
        slope = np.concatenate(
            [(residual.sum(axis=0) + scipy.special.expit(intercept) - _HALF)[None, :], rows.T @ residual + penalty * weights]
        )
        return float(value), slope.ravel()

    options = {"maxiter": _MOST_ITERATIONS, "maxcor": 20, "ftol": 1e-9, "gtol": 1e-5}
    found = scipy.optimize.minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options=options).x.reshape(start.shape)
    return Logistic(mean, found[1:], found[0])


def deviances(log_odds: Float[np.ndarray, "row head"], fires: Bool[np.ndarray, "row head"]) -> Float[np.ndarray, " row"]:
    """−2 log likelihood of each row, summed over heads."""
    return 2.0 * (np.logaddexp(0.0, log_odds) - np.where(fires, log_odds, 0.0)).sum(axis=1)


def _counted(
    features: Float[np.ndarray, "row feature"], fires: Bool[np.ndarray, "row head"]
) -> tuple[Float[np.ndarray, "kind feature"], Float[np.ndarray, " kind"], Float[np.ndarray, "kind head"]]:
    """The different rows of features, how many of each there are, and how often each head fires there."""
    rows, kind, counts = np.unique(features, axis=0, return_inverse=True, return_counts=True)
    hits = np.zeros((len(rows), fires.shape[1]))
    np.add.at(hits, kind, fires)
    return rows, counts.astype(np.float64), hits
