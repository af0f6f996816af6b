"""Do heads come in groups? Co-activation modes: how many, whether they repeat, and whether they carry over to other samples.

Modes are those of a mixture of Bernoullis (`mechdyn.stats.mixture`) over the head sets of retrieving steps. Everything is by cluster, such
as the needle: what is held out shares no needle with what was fitted.

- **How many**: the smallest number whose held-out log likelihood lies within one standard error of the best one's, by cross-fitting; the
  standard error is of the paired difference, over clusters.
- **Split-half agreement**: the clusters are halved at random, as many modes are fitted to each half, and the two are matched one to one
  (Kuhn 1955) so that the correlations of their profiles, rates less those of all steps, add up to the most. The agreement is the mean
  correlation of matched modes, weighted by how common they are; the mean over several halvings.
- **Null**: the same on sets whose heads were exchanged between steps at random so that every step keeps its number of heads and every head
  its number of steps (Strona et al. 2014, "curveball"). So rates and sizes alone do not make modes.
- **Circuits**: modes are called that only where there are two or more, the agreement is at least 0.8 and above that of all null sets.
- **Carry over**: the gain of modes fitted on one collection of steps over a single mode fitted there, on the steps of another, nats a step.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from jaxtyping import Float, Int

from mechdyn.errors import InputError
from mechdyn.stats.interval import Interval
from mechdyn.stats.labels import Clusters, cluster_index
from mechdyn.stats.means import bootstrap_mean
from mechdyn.stats.mixture import Mixture, Sets, fit_mixture

MOST_MODES = 8
N_FOLDS = 5
N_SPLITS = 10
N_NULL = 20
CIRCUITS = 0.8
"""Split-half agreement from which on modes are called circuits; fixed before any model was looked at."""
_LEAST_CLUSTERS = 4
_TRADES = 40
"""How often each step trades heads with another one for a null set."""


@dataclass(frozen=True, eq=False)
class Modes:
    """Modes of co-activation.

    Attributes:
        mixture: fitted on all steps, over all heads that fire.
        heads: which heads those are, by flat number.
        held_out: by number of modes, the mean held-out log likelihood of a step in nats.
        gain: that of the chosen number less that of one mode.
        agreement: split-half agreement, the mean over halvings; NaN for one mode.
        agreement_least: the least of the halvings.
        agreement_null: that of each null set.
        of_row: the mode of each step that was given, by highest probability.
        n_rows: steps.
        n_clusters: needles.
    """

    mixture: Mixture
    heads: Int[np.ndarray, " head"]
    held_out: Mapping[int, float]
    gain: Interval
    agreement: float
    agreement_least: float
    agreement_null: tuple[float, ...]
    of_row: Int[np.ndarray, " row"]
    n_rows: int
    n_clusters: int

    @property
    def n_modes(self) -> int:
        return len(self.mixture.weights)

    @property
    def are_circuits(self) -> bool:
        """Whether the modes repeat well enough to be called that."""
        return self.n_modes > 1 and self.agreement >= CIRCUITS and self.agreement > max(self.agreement_null)


def find_modes(
    sets: Sets,
    clusters: Clusters,
    *,
    most: int = MOST_MODES,
    n_splits: int = N_SPLITS,
    n_null: int = N_NULL,
    seed: int = 0,
    done: Callable[[], object] = lambda: None,
) -> Modes:
    """The modes of head sets, one row a retrieving step.

    Args:
        sets: where a head retrieves.
        clusters: a label for each row.
        most: modes at most.
        n_splits: halvings.
        n_null: null sets.
        seed: of starts, folds, halvings and null sets.
        done: called now and then, for a progress bar.

    Raises:
        InputError: fewer than four clusters, or no head that fires.
    """
    index = cluster_index(clusters, len(sets))
    n_clusters = int(index.max(initial=-1)) + 1
    if n_clusters < _LEAST_CLUSTERS:
        raise InputError(f"modes need retrieving steps of at least {_LEAST_CLUSTERS} needles, to halve and hold out; got {n_clusters}")
    heads = np.flatnonzero(sets.any(axis=0))
    if not len(heads):
        raise InputError("no head retrieves at any step, so there are no modes")
    kept = sets[:, heads]
    likelihoods = _cross_fitted(kept, index, range(1, most + 1), seed, done)
    n_modes = _smallest(likelihoods, index)
    mixture = fit_mixture(kept, n_modes, seed=seed)
    halved, null = np.full(1, np.nan), []
    if n_modes > 1:
        rng = np.random.default_rng(seed)
        halved = np.array([_halves_agree(kept, index, n_modes, rng, done) for _ in range(n_splits)])
        null = [_halves_agree(exchanged(kept, rng), index, n_modes, rng, done) for _ in range(n_null)]
    return Modes(
        mixture=mixture,
        heads=heads,
        held_out={number: float(row.mean()) for number, row in likelihoods.items()},
        gain=_mean_by_cluster(likelihoods[n_modes] - likelihoods[1], index, seed),
        agreement=float(halved.mean()),
        agreement_least=float(halved.min()),
        agreement_null=tuple(null),
        of_row=mixture.joint(kept).argmax(axis=1),
        n_rows=len(kept),
        n_clusters=n_clusters,
    )


def agreement(one: Mixture, other: Mixture) -> float:
    """The mean correlation of matched modes' profiles, weighted by how common they are in both; 1 for the same modes in any order.

    A mode that is as all steps are has no profile to correlate: 0.
    """
    first, second = (_standardised(mixture.profiles) for mixture in (one, other))
    correlations = first @ second.T
    rows, columns = scipy.optimize.linear_sum_assignment(-correlations)
    return float(np.average(correlations[rows, columns], weights=one.weights[rows] + other.weights[columns]))


def exchanged(sets: Sets, rng: np.random.Generator) -> Sets:
    """Random sets of the same sizes in which every head fires as often: pairs of steps trade the heads that only one of them has."""
    drawn = sets.copy()
    for _ in range(_TRADES):
        order = rng.permutation(len(drawn))
        one, other = order[: len(order) // 2], order[len(order) // 2 : 2 * (len(order) // 2)]
        differ = drawn[one] ^ drawn[other]
        size = (drawn[one] & differ).sum(axis=1)
        places = np.where(differ, rng.random(differ.shape), 2.0).argsort(axis=1).argsort(axis=1)
        gets = differ & (places < size[:, None])
        both = drawn[one] & drawn[other]
        drawn[one], drawn[other] = both | gets, both | (differ & ~gets)
    return drawn


def carry_over(
    collections: Mapping[str, tuple[Sets, Clusters]], n_modes: Mapping[str, int], *, seed: int = 0
) -> dict[tuple[str, str], Interval]:
    """The gain of the modes of one collection on the steps of each, by (fitted on, tried on); of one on itself by cross-fitting.

    Above 0 the modes carry over; near the gain of a collection on itself, wholly.

    Raises:
        InputError: collections of models of another shape: heads have no counterpart in another model, so this is not defined.
    """
    widths = {name: sets.shape[1] for name, (sets, _) in collections.items()}
    if len(set(widths.values())) > 1:
        shapes = ", ".join(f"{name} {width}" for name, width in widths.items())
        raise InputError(f"modes carry over between runs of one model alone, got heads: {shapes}; leave the others out")
    heads = np.any([sets.any(axis=0) for sets, _ in collections.values()], axis=0)
    kept = {name: (sets[:, heads], cluster_index(clusters, len(sets))) for name, (sets, clusters) in collections.items()}
    found = {}
    for source, (fitted_on, _) in kept.items():
        modes, single = (fit_mixture(fitted_on, number, seed=seed) for number in (n_modes[source], 1))
        for target, (sets, index) in kept.items():
            if source == target:
                crossed = _cross_fitted(sets, index, sorted({1, n_modes[source]}), seed)
                gains = crossed[n_modes[source]] - crossed[1]
            else:
                gains = modes.log_likelihood(sets) - single.log_likelihood(sets)
            found[source, target] = _mean_by_cluster(gains, index, seed)
    return found


def _cross_fitted(
    sets: Sets, index: Int[np.ndarray, " row"], numbers: Sequence[int], seed: int, done: Callable[[], object] = lambda: None
) -> dict[int, Float[np.ndarray, " row"]]:
    """The held-out log likelihood of each row, by number of modes."""
    n_clusters = int(index.max()) + 1
    shuffled = np.random.default_rng(seed).permutation(n_clusters)
    folds = [np.isin(index, shuffled[fold::N_FOLDS]) for fold in range(min(N_FOLDS, n_clusters))]
    found = {}
    for number in numbers:
        if min((~test).sum() for test in folds) < number:
            break
        found[number] = np.zeros(len(sets))
        for test in folds:
            found[number][test] = fit_mixture(sets[~test], number, seed=seed).log_likelihood(sets[test])
            done()
    return found


def _smallest(likelihoods: Mapping[int, Float[np.ndarray, " row"]], index: Int[np.ndarray, " row"]) -> int:
    """The smallest number of modes within one standard error of the best."""
    best = max(likelihoods, key=lambda number: likelihoods[number].mean())
    for number, row in likelihoods.items():
        lost = likelihoods[best] - row
        sums = np.bincount(index, lost - lost.mean())
        error = np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()) / len(lost)
        if number == best or lost.mean() <= error:
            return number
    return best


def _halves_agree(sets: Sets, index: Int[np.ndarray, " row"], n_modes: int, rng: np.random.Generator, done: Callable[[], object]) -> float:
    """The agreement of the modes of two random halves of the clusters."""
    shuffled = rng.permutation(int(index.max()) + 1)
    half = np.isin(index, shuffled[: len(shuffled) // 2])
    seed = int(rng.integers(2**31))
    found = agreement(*(fit_mixture(sets[rows], min(n_modes, int(rows.sum())), seed=seed) for rows in (half, ~half)))
    done()
    return found


def _standardised(profiles: Float[np.ndarray, "mode head"]) -> Float[np.ndarray, "mode head"]:
    centred = profiles - profiles.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.divide(centred, norm, out=np.zeros_like(centred), where=norm > 1e-12)


def _mean_by_cluster(values: Float[np.ndarray, " row"], index: Int[np.ndarray, " row"], seed: int) -> Interval:
    """The mean over rows, resampled by cluster."""
    return bootstrap_mean(np.bincount(index, values), np.bincount(index), seed=seed)
