"""A mixture of independent Bernoullis over head sets: a few modes, each with a rate for every head."""

from dataclasses import dataclass

import numpy as np
import scipy
from jaxtyping import Bool, Float

from mechdyn.errors import InputError

N_STARTS = 4
_MOST_ITERATIONS = 200
_TOLERANCE = 1e-5
"""Nats a step that an iteration must gain for another one."""
_SHARPNESS = 0.5
"""Nats a head: how strongly a start's rows attract others."""

Sets = Bool[np.ndarray, "row head"]


@dataclass(frozen=True, eq=False)
class Mixture:
    """A step is of mode m with probability `weights[m]`; then head h fires with probability `rates[m, h]`, each by itself."""

    weights: Float[np.ndarray, " mode"]
    rates: Float[np.ndarray, "mode head"]

    @property
    def profiles(self) -> Float[np.ndarray, "mode head"]:
        """How much more often each head fires in a mode than in all: rates less their mean over modes."""
        return self.rates - self.weights @ self.rates

    def joint(self, sets: Sets) -> Float[np.ndarray, "row mode"]:
        """The log probability of each row together with each mode."""
        numbers = sets.astype(np.float64)
        return numbers @ scipy.special.logit(self.rates).T + np.log1p(-self.rates).sum(axis=1) + np.log(self.weights)

    def log_likelihood(self, sets: Sets) -> Float[np.ndarray, " row"]:
        """The log probability of each row, in nats."""
        return scipy.special.logsumexp(self.joint(sets), axis=1)


def fit_mixture(sets: Sets, n_modes: int, *, n_starts: int = N_STARTS, seed: int = 0) -> Mixture:
    """Expectation maximisation from several starts; the one of the highest posterior density is kept, its commonest mode first.

    Each mode has one observation more, at the rates of all rows together, and each weight one more count: rates stay off 0 and 1, and one
    mode has (firings + ½) / (rows + 1) for each head. A start is as many different rows drawn at random, and each row goes to those that it
    shares most with.

    Raises:
        InputError: fewer rows than modes, or no mode.
    """
    if not 1 <= n_modes <= len(sets):
        raise InputError(f"a mixture has at least 1 mode and at most one for each of {len(sets)} steps, got {n_modes}")
    numbers = sets.astype(np.float64)
    base = (numbers.sum(axis=0) + 0.5) / (len(sets) + 1)
    if n_modes == 1:
        return Mixture(np.ones(1), base[None, :])
    rng = np.random.default_rng(seed)
    found = [_climbed(numbers, base, _start(numbers, n_modes, rng)) for _ in range(n_starts)]
    best = max(found, key=lambda one: one[1])[0]
    order = np.argsort(-best.weights, kind="stable")
    return Mixture(best.weights[order], best.rates[order])


def _start(numbers: Float[np.ndarray, "row head"], n_modes: int, rng: np.random.Generator) -> Float[np.ndarray, "row mode"]:
    centres = np.unique(numbers, axis=0)
    centres = centres[rng.choice(len(centres), n_modes, replace=len(centres) < n_modes)]
    distances = numbers.sum(axis=1)[:, None] + centres.sum(axis=1) - 2 * numbers @ centres.T
    return scipy.special.softmax(-_SHARPNESS * distances + 1e-3 * rng.standard_normal(distances.shape), axis=1)


def _climbed(
    numbers: Float[np.ndarray, "row head"], base: Float[np.ndarray, " head"], share: Float[np.ndarray, "row mode"]
) -> tuple[Mixture, float]:
    """The mixture that a start leads to, and its log posterior."""
    before = -np.inf
    for _ in range(_MOST_ITERATIONS):
        counts = share.sum(axis=0)
        rates = (share.T @ numbers + base) / (counts[:, None] + 1.0)
        mixture = Mixture((counts + 1.0) / (counts + 1.0).sum(), rates)
        joint = mixture.joint(numbers > 0)
        likelihood = scipy.special.logsumexp(joint, axis=1)
        prior = (base * np.log(rates) + (1 - base) * np.log1p(-rates)).sum() + np.log(mixture.weights).sum()
        now = float(likelihood.sum() + prior)
        if now - before < _TOLERANCE * len(numbers):
            break
        before, share = now, np.exp(joint - likelihood[:, None])
    return mixture, now
