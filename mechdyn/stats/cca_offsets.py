"""Canonical correlations between hidden states and the retrieval scores of the same and of later steps (3.4, A.4, Figure 4).

In-sample correlations rise with dimension whatever the data, so each stands beside two companions: the same directions on held-out samples,
and a null that pairs the hidden states of one sample with the scores of another at the same step (what the step's number alone explains).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from mechdyn.errors import InputError
from mechdyn.stats.cca import Block, fit_cca, pca_whitening
from mechdyn.stats.cca_pairs import (
    Reduced,
    Rows,
    check_samples,
    min_max,
    other_samples,
    pair_rows,
    pearson,
    sample_moments,
)
from mechdyn.stats.interval import Interval
from mechdyn.stats.labels import Clusters, cluster_index, shuffled_clusters
from mechdyn.stats.resampling import Weights, bootstrap_many

TOPS = (1, 10, 50)
"""Figure 4 shows the first correlation and the means of the first 10 and 50."""
_TEST_SHARE = 0.3
"""Of the samples (or clusters) so many are held out."""
_RESIDUAL_FLOOR = 1e-6
"""Standard deviation below which a residual of a whitened column is rounding."""


@dataclass(frozen=True)
class Correlations:
    """Canonical correlations in [-1, 1] (held out they may be negative): one a component, and the mean of the first 1, 10 and 50.

    Where there are fewer components than a mean asks for, it is over those there are. None at all: NaN.
    """

    components: tuple[Interval, ...]
    means: Mapping[int, Interval]


@dataclass(frozen=True)
class OffsetCCA:
    """Hidden states at step n with scores at step n + `offset`.

    `in_sample` is of the training samples, `held_out` of the test samples on the same directions; intervals resample samples and leave
    the directions as fitted. The nulls give mean and 95 % range over pairings with other samples, their `n` counts pairings.
    `persistence` is held out too, of scores at n with scores at n + offset; `partial` of hidden states and later scores after both are
    regressed on the scores at n: what the hidden state says beyond that scores repeat. Both are None at offset 0.
    """

    offset: int
    in_sample: Correlations
    held_out: Correlations
    null_in_sample: Correlations
    null_held_out: Correlations
    persistence: Correlations | None
    partial: Correlations | None
    n_components: int
    n_train_steps: int
    n_test_steps: int


@dataclass(frozen=True)
class CCAResult:
    """One `OffsetCCA` an offset, and what the data were reduced to. `n_constant_heads` never vary in training and were dropped."""

    offsets: tuple[OffsetCCA, ...]
    hidden_rank: int
    scores_rank: int
    n_constant_heads: int
    n_train: int
    n_test: int


def cca_by_offset(
    samples: Sequence[tuple[Block, Block]],
    offsets: Sequence[int] = tuple(range(11)),
    *,
    clusters: Clusters | None = None,
    hidden_variance: float = 0.95,
    scores_variance: float = 0.99,
    n_components: int = 50,
    n_nulls: int = 20,
    seed: int = 0,
) -> CCAResult:
    """Figure 4 with its companions.

    Samples are split once, 30 % held out, whole clusters to one side. On the training samples hidden states are reduced by PCA, and scores
    scaled to [0, 1] per head (heads that never vary dropped), then reduced by PCA; each offset fits its directions on that. The paper does
    not say whether it reduces once or anew at each offset; once keeps the offsets comparable.

    Args:
        samples: hidden states (step, d_model) and retrieval scores (step, head) of each sample.
        offsets: k of the pairs (hidden at n, scores at n + k), always within one sample.
        clusters: a label for each sample; samples of one label are on one side and drawn together. By default each is by itself.
        hidden_variance: share of the variance that PCA keeps of the hidden states.
        scores_variance: the same of the scores.
        n_components: canonical components, fewer where the rank is lower (`OffsetCCA.n_components` says how many).
        n_nulls: random pairings of samples for the null.
        seed: of split, pairings and bootstrap.

    Raises:
        InputError: fewer samples or clusters than a split needs, sides, samples or labels that do not fit together, values that are not
            finite, constant scores everywhere, or an offset that too few samples are long enough for.
    """
    check_samples(samples, offsets, n_components, n_nulls)
    labels = cluster_index(clusters, len(samples))
    parts = _split(labels, [i for i, (hidden, _) in enumerate(samples) if len(hidden)], seed)
    train, test = ([samples[i] for i in part] for part in parts)
    to_hidden = pca_whitening([hidden for hidden, _ in train], hidden_variance, "hidden states")
    scale, n_constant = min_max([scores for _, scores in train])
    to_scores = pca_whitening([scale(scores) for _, scores in train], scores_variance, "retrieval scores")
    reduced = tuple(
        _Part([to_hidden(samples[i][0]) for i in part], [to_scores(scale(samples[i][1])) for i in part], labels[part]) for part in parts
    )
    return CCAResult(
        offsets=tuple(_at_offset(reduced[0], reduced[1], offset, n_components, n_nulls, seed) for offset in offsets),
        hidden_rank=to_hidden.weights.shape[1],
        scores_rank=to_scores.weights.shape[1],
        n_constant_heads=n_constant,
        n_train=len(train),
        n_test=len(test),
    )


def _split(
    labels: Int[np.ndarray, " sample"], with_steps: Sequence[int], seed: int
) -> tuple[Int[np.ndarray, " _train"], Int[np.ndarray, " _test"]]:
    """Training and test samples in random order, those of one label on one side."""
    order = shuffled_clusters(labels[with_steps], len(with_steps), seed)
    n_test = round(_TEST_SHARE * len(order))
    parts = order[n_test:], order[:n_test]
    if min(map(len, parts)) < 2:
        raise InputError(
            f"a split by sample needs at least 2 samples with steps on either side, none of which share a needle or a haystack, got "
            f"{len(parts[0])} to train and {len(parts[1])} to test; trace more samples"
        )
    train, test = (np.array([with_steps[place] for members in part for place in members]) for part in parts)
    return train, test


@dataclass(frozen=True)
class _Part:
    """Training or test samples, reduced, and the cluster of each."""

    hidden: Reduced
    scores: Reduced
    clusters: Int[np.ndarray, " _sample"]

    def longer_than(self, offset: int) -> "_Part":
        kept = [i for i, scores in enumerate(self.scores) if len(scores) > offset]
        return _Part([self.hidden[i] for i in kept], [self.scores[i] for i in kept], self.clusters[kept])

    def at_other_samples(self, rng: np.random.Generator) -> "_Part":
        """Every sample's hidden states beside the scores of another sample."""
        return _Part(self.hidden, [self.scores[index] for index in other_samples(len(self.scores), rng)], self.clusters)


def _at_offset(train: _Part, test: _Part, offset: int, n_components: int, n_nulls: int, seed: int) -> OffsetCCA:
    long_train, long_test = train.longer_than(offset), test.longer_than(offset)
    if min(len(long_train.scores), len(long_test.scores)) < 2:
        longest = max(map(len, (*train.scores, *test.scores)))
        raise InputError(
            f"offset {offset} needs at least 2 training and 2 test samples of more than {offset} steps, got {len(long_train.scores)} and "
            f"{len(long_test.scores)}; the longest sample has {longest} steps, so take smaller offsets or trace longer answers"
        )
    train, test = long_train, long_test
    x, y, sizes = pair_rows(train.hidden, train.scores, offset)
    x_test, y_test, test_sizes = pair_rows(test.hidden, test.scores, offset)
    fit = fit_cca(x, y, n_components=n_components)
    null_in_sample, null_held_out = _null(train, test, offset, n_components, n_nulls, seed)
    persistence = partial = None
    if offset > 0:
        now, now_test = pair_rows(train.scores, train.scores, offset)[0], pair_rows(test.scores, test.scores, offset)[0]
        repeat = fit_cca(now, y, n_components=n_components)
        persistence = _intervals(repeat.x(now_test), repeat.y(y_test), test_sizes, test.clusters, seed)
        directions = _beyond_now((x, y, now), (x_test, y_test, now_test), n_components)
        partial = _intervals(*directions, test_sizes, test.clusters, seed) if directions else _nothing(len(test_sizes))
    return OffsetCCA(
        offset=offset,
        in_sample=_intervals(fit.x(x), fit.y(y), sizes, train.clusters, seed),
        held_out=_intervals(fit.x(x_test), fit.y(y_test), test_sizes, test.clusters, seed),
        null_in_sample=null_in_sample,
        null_held_out=null_held_out,
        persistence=persistence,
        partial=partial,
        n_components=len(fit.correlations),
        n_train_steps=len(x),
        n_test_steps=len(x_test),
    )


def _null(train: _Part, test: _Part, offset: int, n_components: int, n_nulls: int, seed: int) -> tuple[Correlations, Correlations]:
    """In-sample and held-out correlations when both parts pair hidden states with other samples' scores."""
    rng = np.random.default_rng([seed, offset])
    in_sample, held_out = [], []
    for _ in range(n_nulls):
        strangers, test_strangers = train.at_other_samples(rng), test.at_other_samples(rng)
        x, y, _ = pair_rows(strangers.hidden, strangers.scores, offset)
        x_test, y_test, _ = pair_rows(test_strangers.hidden, test_strangers.scores, offset)
        fit = fit_cca(x, y, n_components=n_components)
        in_sample.append(_with_means(fit.correlations[None])[0])
        held_out.append(_with_means(pearson(sample_moments(fit.x(x_test), fit.y(y_test), [len(x_test)])[:, 0, None]))[0])
    return _spread(in_sample), _spread(held_out)


def _spread(draws: Sequence[Float[np.ndarray, " _value"]]) -> Correlations:
    """Mean and 95 % range over pairings; components that only some pairings have are left out."""
    n_components = min(map(len, draws)) - len(TOPS)
    values = np.stack([np.concatenate([draw[:n_components], draw[-len(TOPS) :]]) for draw in draws])
    low, high = np.quantile(values, [0.025, 0.975], axis=0)
    rows = zip(values.mean(axis=0).tolist(), low.tolist(), high.tolist(), strict=True)
    return _named([Interval(*row, len(draws), "range of pairings") for row in rows])


def _nothing(n: int) -> Correlations:
    """No component at all."""
    return Correlations((), dict.fromkeys(TOPS, Interval(float("nan"), float("nan"), float("nan"), n)))


def _beyond_now(
    fitted: tuple[Rows, Rows, Rows], held_out: tuple[Rows, Rows, Rows], n_components: int
) -> tuple[Float[np.ndarray, "row c"], Float[np.ndarray, "row c"]] | None:
    """Held-out hidden states and later scores on canonical directions, after both are regressed on the scores of the hidden states' step.

    None where that leaves nothing of one of them.
    """
    x, y, now = fitted
    design, test_design = (np.column_stack([np.ones(len(rows)), rows]) for rows in (now, held_out[2]))
    both = np.column_stack([x, y])
    coefficients = np.linalg.lstsq(design, both, rcond=None)[0]
    x, y = np.split(both - design @ coefficients, [x.shape[1]], axis=1)
    x_test, y_test = np.split(np.column_stack(held_out[:2]) - test_design @ coefficients, [x.shape[1]], axis=1)
    if min(x.std(axis=0).max(), y.std(axis=0).max()) <= _RESIDUAL_FLOOR:
        return None
    fit = fit_cca(x, y, n_components=n_components, floor=_RESIDUAL_FLOOR)
    return fit.x(x_test), fit.y(y_test)


def _intervals(
    u: Float[np.ndarray, "row c"], v: Float[np.ndarray, "row c"], sizes: Sequence[int], clusters: Clusters, seed: int
) -> Correlations:
    """Pearson correlation of each pair of columns, resampled by sample, those of one cluster together."""
    moments = sample_moments(u, v, sizes)

    def statistic(weights: Weights) -> Float[np.ndarray, "resample value"]:
        return _with_means(pearson(weights @ moments))

    return _named(bootstrap_many(statistic, len(sizes), clusters=clusters, seed=seed))


def _with_means(correlations: Float[np.ndarray, "row c"]) -> Float[np.ndarray, "row value"]:
    """The components, then the mean of the first 1, 10 and 50."""
    return np.column_stack([correlations, *(correlations[:, :top].mean(axis=1) for top in TOPS)])


def _named(values: Sequence[Interval]) -> Correlations:
    return Correlations(tuple(values[: -len(TOPS)]), dict(zip(TOPS, values[-len(TOPS) :], strict=True)))
