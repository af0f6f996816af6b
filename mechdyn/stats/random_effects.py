"""Random-effects meta-analysis: the mean of a quantity over models, how far models differ, and what to expect of the next one.

Each of k estimates yᵢ with standard error sᵢ is taken as yᵢ = μ + uᵢ + eᵢ, uᵢ ~ N(0, τ²) being the model's own, eᵢ ~ N(0, sᵢ²) its error.

- τ² by restricted maximum likelihood (REML), with the Q-profile interval (Viechtbauer 2007): the τ² for which Σ wᵢ (yᵢ − μ)² with
  wᵢ = 1 / (sᵢ² + τ²) lies between the quantiles of χ² with k − 1 degrees of freedom.
- μ = Σ wᵢ yᵢ / Σ wᵢ with the interval of Hartung and Knapp (2001): μ ± t₍k−1₎ √(q / Σ wᵢ), q = Σ wᵢ (yᵢ − μ)² / (k − 1). Where q is below 1
  it is taken as 1 (Röver et al. 2015), so that estimates that happen to agree give no interval narrower than their own errors do.
- The prediction interval, for the true value of a model not yet seen, from three models on, by the confidence distribution of τ²
  (Nagashima, Noma and Furukawa 2019): quantiles of μ(τ̃²) + z τ̃ − t SE(τ̃²) over draws of z ~ N(0, 1), t of Student's with k − 1 degrees of
  freedom, and τ̃² from its confidence distribution. They take that of the moment estimate, we that of the Q-profile, which is exact. The
  usual μ ± t₍k−2₎ √(τ² + SE²) (Higgins et al. 2009) takes τ as known: simulated with errors as large as τ, it covered 88 % of next models
  after 8. Either holds for models like those that were looked at, which are few and not drawn at random.
- I² = τ² / (τ² + s²), the share of the variance that is between models, s² the typical sᵢ² (Higgins and Thompson 2002).
"""

import math
from dataclasses import dataclass

import numpy as np
import scipy
from jaxtyping import Float

from mechdyn.errors import InputError
from mechdyn.stats.interval import Interval
from mechdyn.stats.proportions import Bounds
from mechdyn.stats.resampling import BOOTSTRAP, CLUSTER_BOOTSTRAP

PerModel = Float[np.ndarray, " _model"]
HARTUNG_KNAPP = "REML, Hartung-Knapp"
"""What the mean's interval is called (`Interval.method`)."""
FEWEST, FEWEST_TO_PREDICT = 2, 3
_N_DRAWS, _N_GRID = 10_000, 300


@dataclass(frozen=True)
class RandomEffects:
    """The mean over models, the prediction interval (None of fewer than three models), τ with its interval, I², and each model's weight."""

    mean: Interval
    prediction: Bounds | None
    tau: float
    tau_bounds: Bounds
    i_squared: float
    weights: tuple[float, ...]


def random_effects(estimates: PerModel, errors: PerModel, *, level: float = 0.95) -> RandomEffects:
    """The meta-analysis of the module's docstring.

    Args:
        estimates: one a model.
        errors: their standard errors, above 0.
        level: coverage of all intervals.

    Raises:
        InputError: fewer than two models, one error a model lacking, or an error that is not above 0.
    """
    estimates, errors = np.asarray(estimates, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    if len(estimates) < FEWEST or len(estimates) != len(errors):
        raise InputError(f"a meta-analysis needs {FEWEST} or more estimates and an error for each, got {len(estimates)} and {len(errors)}")
    if not (np.isfinite(estimates).all() and np.isfinite(errors).all() and (errors > 0).all()):
        raise InputError("a meta-analysis needs finite estimates with standard errors above 0; leave out those without an interval")
    k, variances = len(estimates), errors**2
    tau_squared = _reml(estimates, variances)
    weights = 1 / (variances + tau_squared)
    mean = _mean(estimates, weights)
    scale = max(1.0, _heterogeneity(estimates, variances, tau_squared) / (k - 1))
    error = math.sqrt(scale / weights.sum())
    reach = float(scipy.special.stdtrit(k - 1, (1 + level) / 2)) * error
    plain = 1 / variances
    typical = (k - 1) * plain.sum() / (plain.sum() ** 2 - (plain**2).sum())
    return RandomEffects(
        mean=Interval(mean, mean - reach, mean + reach, k, HARTUNG_KNAPP),
        prediction=_prediction(estimates, variances, level) if k >= FEWEST_TO_PREDICT else None,
        tau=math.sqrt(tau_squared),
        tau_bounds=_q_profile(estimates, variances, level),
        i_squared=float(tau_squared / (tau_squared + typical)),
        weights=tuple((weights / weights.sum()).tolist()),
    )


def standard_error(interval: Interval) -> float | None:
    """Half a 95 % interval over the quantile that it was made with: Student's for a bootstrap, else 1.96; None where it has no width."""
    width = interval.high - interval.low
    if math.isnan(width) or width <= 0:
        return None
    bootstrapped = interval.method in (BOOTSTRAP, CLUSTER_BOOTSTRAP)
    freedom = (interval.freedom or interval.n - 1.0) if bootstrapped else math.inf
    return width / (2 * float(scipy.special.stdtrit(freedom, 0.975) if math.isfinite(freedom) else scipy.special.ndtri(0.975)))


def _mean(estimates: PerModel, weights: PerModel) -> float:
    return float((weights * estimates).sum() / weights.sum())


def _heterogeneity(estimates: PerModel, variances: PerModel, tau_squared: float) -> float:
    """Σ wᵢ (yᵢ − μ)²: falls as τ² grows."""
    weights = 1 / (variances + tau_squared)
    return float((weights * (estimates - _mean(estimates, weights)) ** 2).sum())


def _reml(estimates: PerModel, variances: PerModel) -> float:
    """τ² of the greatest restricted likelihood, 0 or more."""

    def loss(tau_squared: float) -> float:
        """−2 log of the restricted likelihood, but for a constant."""
        total = variances + tau_squared
        return float(np.log(total).sum() + math.log((1 / total).sum())) + _heterogeneity(estimates, variances, tau_squared)

    most = 10 * float(estimates.var(ddof=1)) + 1e-300
    found = scipy.optimize.minimize_scalar(loss, bounds=(0.0, most), method="bounded", options={"xatol": 1e-9 * most})
    return float(found.x) if loss(float(found.x)) < loss(0.0) else 0.0


def _prediction(estimates: PerModel, variances: PerModel, level: float) -> Bounds:
    """Quantiles of the next model's true value; the same estimates give the same bounds."""
    rng, k = np.random.default_rng(0), len(estimates)
    wanted, normal, student = rng.chisquare(k - 1, _N_DRAWS), rng.normal(size=_N_DRAWS), rng.standard_t(k - 1, _N_DRAWS)
    most = float(estimates.var(ddof=1)) * k / float(wanted.min())
    grid = np.concatenate([[0.0], np.geomspace(1e-6, 1.0, _N_GRID) * 2 * most])
    weights = 1 / (variances + grid[:, None])
    means = (weights * estimates).sum(axis=1) / weights.sum(axis=1)
    spread = (weights * (estimates - means[:, None]) ** 2).sum(axis=1)
    errors = np.sqrt(np.maximum(1.0, spread / (k - 1)) / weights.sum(axis=1))
    drawn = np.interp(-wanted, -spread, grid)
    found = np.interp(drawn, grid, means) + normal * np.sqrt(drawn) - student * np.interp(drawn, grid, errors)
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _q_profile(estimates: PerModel, variances: PerModel, level: float) -> Bounds:
    """Bounds of τ, the root of the Q-profile's."""
    k = len(estimates)
    high, low = scipy.stats.chi2.isf([(1 - level) / 2, (1 + level) / 2], k - 1)
    return _tau_at(estimates, variances, float(high)), _tau_at(estimates, variances, float(low))


def _tau_at(estimates: PerModel, variances: PerModel, wanted: float) -> float:
    """The τ at which the estimates differ by this much; 0 where they do not even at τ = 0."""
    if _heterogeneity(estimates, variances, 0.0) <= wanted:
        return 0.0
    most = float(estimates.var(ddof=1)) * len(estimates) / wanted
    root = scipy.optimize.brentq(lambda tau_squared: _heterogeneity(estimates, variances, tau_squared) - wanted, 0.0, 2 * most)
    return math.sqrt(float(root))
