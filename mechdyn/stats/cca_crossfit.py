"""Canonical correlation beyond the step's own mean, each sample measured on directions that were fitted on others.

Hidden states and retrieval scores both move with the step's number, whatever the text: a needle's first steps differ from its last. So the
mean of each step, taken over the training samples, is subtracted from both sides before anything is fitted. Samples are dealt into folds;
each fold is measured on the directions of the others, so that every sample counts and none was fitted on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from einops import einsum
from jaxtyping import Float

from mechdyn.errors import InputError
from mechdyn.stats.cca import Block, CCAFit, Whitening, fit_cca, pca_whitening
from mechdyn.stats.cca_pairs import check_samples, min_max, other_samples, pair_rows, pearson, sample_moments
from mechdyn.stats.interval import Interval
from mechdyn.stats.labels import Clusters, cluster_index, shuffled_clusters
from mechdyn.stats.resampling import Weights, bootstrap_many

_LEAST_AT_STEP = 2
"""A step's mean needs this many training samples; rows of other steps are left out."""


@dataclass(frozen=True)
class CrossFittedCorrelation:
    """The leading canonical correlation of hidden states at n with scores at n + `offset`, held out and about the step's mean, in [-1, 1].

    `null` pairs the hidden states with the scores of another sample at the same step, the mean over pairings; `ahead` is the correlation
    less its null on the same resamples. Intervals are by sample; `n_steps` counts the measured rows.
    """

    offset: int
    correlation: Interval
    null: Interval
    ahead: Interval
    n_steps: int


@dataclass(frozen=True)
class _Sides:
    """Hidden states and scores of each sample, centred by step and reduced."""

    hidden: list[Float[np.ndarray, "_step _component"]]
    scores: list[Float[np.ndarray, "_step _component"]]


def cross_fitted_correlation(
    samples: Sequence[tuple[Block, Block]],
    offset: int,
    *,
    clusters: Clusters | None = None,
    n_folds: int = 5,
    hidden_variance: float = 0.95,
    scores_variance: float = 0.99,
    n_nulls: int = 20,
    seed: int = 0,
) -> CrossFittedCorrelation:
    """Deal the samples into folds, fit on all others, measure each fold, and correlate the rows of all folds together.

    Args:
        samples: hidden states (step, d_model) and retrieval scores (step, head) of each sample.
        offset: k of the pairs (hidden at n, scores at n + k), within one sample.
        clusters: a label for each sample; those of one label are in one fold and drawn together. By default each is by itself.
        n_folds: folds of about as many samples (or clusters) each.
        hidden_variance: share of the variance that PCA keeps of the centred hidden states.
        scores_variance: the same of the scores, scaled to [0, 1] per head before.
        n_nulls: random pairings of samples for the null, in each fold.
        seed: of folds, pairings and bootstrap.

    Raises:
        InputError: fewer than 3 samples longer than the offset in every fold, samples that do not fit together, values that are not
            finite, or a side that does not vary about its step's mean.
    """
    check_samples(samples, [offset], 1, n_nulls)
    long = [index for index, (hidden, _) in enumerate(samples) if len(hidden) > offset]
    labels = cluster_index(clusters, len(samples))
    shuffled = shuffled_clusters(labels[long], len(long), seed)
    folds = [[long[place] for members in shuffled[fold::n_folds] for place in members] for fold in range(n_folds)]
    if min(map(len, folds)) < 3:
        raise InputError(
            f"offset {offset} needs at least 3 samples of more than {offset} steps in each of {n_folds} folds, got {len(long)} samples; "
            "trace more samples or longer answers"
        )
    rng = np.random.default_rng([seed, offset])
    measured: list[Float[np.ndarray, "pairing 6 sample"]] = []
    for index, fold in enumerate(folds):
        others = [sample for other, members in enumerate(folds) if other != index for sample in members]
        train, test = _reduced([samples[i] for i in others], [samples[i] for i in fold], hidden_variance, scores_variance)
        own = _moments_of(_leading(train, offset), test, offset)
        strangers = (_moments_of(_leading(_others(train, rng), offset), _others(test, rng), offset) for _ in range(n_nulls))
        measured.append(np.stack([own, *strangers]))
    dealt = [sample for fold in folds for sample in fold]
    return _compared(np.concatenate(measured, axis=2), labels[dealt], offset, seed)


def _reduced(
    train: Sequence[tuple[Block, Block]], test: Sequence[tuple[Block, Block]], hidden_variance: float, scores_variance: float
) -> tuple[_Sides, _Sides]:
    """Both parts less the training samples' mean of each step, in the principal components of training."""
    scale, _ = min_max([scores for _, scores in train])
    parts = [([hidden for hidden, _ in part], [scale(scores) for _, scores in part]) for part in (train, test)]
    (hidden, hidden_test), (scores, scores_test) = (_centred(parts[0][side], parts[1][side]) for side in (0, 1))
    to_hidden = pca_whitening(hidden, hidden_variance, "hidden states about their step's mean")
    to_scores = pca_whitening(scores, scores_variance, "retrieval scores about their step's mean")
    return _mapped(hidden, scores, to_hidden, to_scores), _mapped(hidden_test, scores_test, to_hidden, to_scores)


def _mapped(hidden: Sequence[Block], scores: Sequence[Block], to_hidden: Whitening, to_scores: Whitening) -> _Sides:
    return _Sides([to_hidden(block) for block in hidden], [to_scores(block) for block in scores])


def _centred(train: Sequence[Block], test: Sequence[Block]) -> tuple[list[Block], list[Block]]:
    """Each block less the mean of its steps over the training samples, cut where too few of those reach."""
    longest = max(map(len, train))
    sums, counts = np.zeros((longest, train[0].shape[1])), np.zeros((longest, 1))
    for block in train:
        sums[: len(block)] += block
        counts[: len(block)] += 1
    known = int((counts[:, 0] >= _LEAST_AT_STEP).sum())
    means = sums[:known] / counts[:known]

    def centre(block: Block) -> Block:
        return np.asarray(block[:known], dtype=np.float64) - means[: len(block)]

    return [centre(block) for block in train], [centre(block) for block in test]


def _others(sides: _Sides, rng: np.random.Generator) -> _Sides:
    """Every sample's hidden states beside the scores of another sample."""
    return _Sides(sides.hidden, [sides.scores[index] for index in other_samples(len(sides.scores), rng)])


def _leading(train: _Sides, offset: int) -> CCAFit:
    """The first pair of canonical directions."""
    hidden, scores, _ = pair_rows(train.hidden, train.scores, offset)
    return fit_cca(hidden, scores, n_components=1)


def _moments_of(fit: CCAFit, test: _Sides, offset: int) -> Float[np.ndarray, "6 sample"]:
    """Each held-out sample's sums on the fitted directions; a sample without a row has zeros.

    Both sides were centred on training, so correlations are taken about 0: the sign of a fold's directions is arbitrary, and means of
    folds of either sign must not enter.
    """
    hidden, scores, sizes = pair_rows(test.hidden, test.scores, offset)
    some = [index for index, size in enumerate(sizes) if size > 0]
    sums = np.zeros((6, len(sizes)))
    sums[:, some] = sample_moments(fit.x(hidden), fit.y(scores), [sizes[index] for index in some])[:, :, 0]
    sums[1:3] = 0.0
    return sums


def _compared(sums: Float[np.ndarray, "pairing 6 sample"], clusters: Clusters, offset: int, seed: int) -> CrossFittedCorrelation:
    """The correlation, the mean of its nulls, and their difference, on the same resamples of samples."""

    def statistic(weights: Weights) -> Float[np.ndarray, "resample value"]:
        drawn = einsum(weights, sums, "resample sample, pairing moment sample -> moment resample pairing")
        values = pearson(drawn)
        return np.column_stack([values[:, 0], values[:, 1:].mean(axis=1), values[:, 0] - values[:, 1:].mean(axis=1)])

    correlation, null, ahead = bootstrap_many(statistic, sums.shape[2], clusters=clusters, seed=seed)
    return CrossFittedCorrelation(offset, correlation, null, ahead, int(sums[0, 0].sum()))
