"""Cross-fitted correlation against a plain computation, and on samples whose truth is known."""

import numpy as np
import pytest
from sklearn.cross_decomposition import CCA
from sklearn.decomposition import PCA

from mechdyn.errors import InputError
from mechdyn.stats.cca_crossfit import _compared, cross_fitted_correlation


def made_up(n_samples=40, n_steps=9, shared=0.0, by_step=0.0, ahead=0, seed=0):
    """Hidden states of 6 and scores of 4 columns: `shared` of one latent `ahead` steps later, `by_step` of a curve of the step's number."""
    rng = np.random.default_rng(seed)
    curve = rng.normal(size=(n_steps + 2, 1))
    samples = []
    for index in range(n_samples):
        length = n_steps + index % 3
        latent = rng.normal(size=(length + ahead, 1))
        hidden, scores = rng.normal(size=(length, 6)), rng.normal(size=(length, 4))
        hidden += shared * latent[ahead:] + by_step * curve[:length]
        scores += shared * latent[:length] + by_step * curve[:length]
        samples.append((hidden, scores))
    return samples


def plainly(samples, offset, n_folds, seed):
    """The pooled correlation with scikit-learn's PCA and CCA, sample by sample and step by step."""
    long = [index for index, (hidden, _) in enumerate(samples) if len(hidden) > offset]
    folds = [np.random.default_rng(seed).permutation(long)[fold::n_folds] for fold in range(n_folds)]
    left, right = [], []
    for fold in folds:
        train = [index for index in long if index not in fold]
        scores = np.concatenate([samples[index][1] for index in train])
        low, span = scores.min(axis=0), np.ptp(scores, axis=0)
        sides = [{index: samples[index][0] for index in long}, {index: (samples[index][1] - low) / span for index in long}]
        centred = []
        for side in sides:
            means = {}
            for step in range(max(map(len, side.values()))):
                at_step = [side[index][step] for index in train if len(side[index]) > step]
                if len(at_step) < 2:
                    break
                means[step] = np.mean(at_step, axis=0)
            centred.append(
                {index: np.stack([row - means[step] for step, row in enumerate(block) if step in means]) for index, block in side.items()}
            )
        reduced = []
        for side, variance in zip(centred, (0.95, 0.99), strict=True):
            pca = PCA(variance, whiten=True, svd_solver="full").fit(np.concatenate([side[index] for index in train]))
            reduced.append({index: pca.transform(block) for index, block in side.items()})

        def pairs(indices):
            hidden, scores = reduced  # noqa: B023
            sizes = {index: min(len(hidden[index]), len(scores[index]) - offset) for index in indices}
            return [
                np.concatenate([hidden[i][:n] for i, n in sizes.items()]),
                np.concatenate([scores[i][offset : offset + n] for i, n in sizes.items()]),
            ]

        cca = CCA(1, max_iter=20_000, tol=1e-12).fit(*pairs(train))
        u, v = cca.transform(*pairs(list(fold)))
        scale = [float(np.std(side)) for side in cca.transform(*pairs(train))]
        left.append(u[:, 0] / scale[0])
        right.append(v[:, 0] / scale[1])
    u, v = np.concatenate(left), np.concatenate(right)
    return float(u @ v / np.sqrt((u @ u) * (v @ v)))


@pytest.mark.parametrize(("offset", "seed"), [(0, 1), (2, 2)])
def test_it_equals_a_plain_computation(offset, seed):
    samples = made_up(shared=1.5, by_step=1.0, ahead=offset, seed=seed)
    found = cross_fitted_correlation(samples, offset, seed=seed)
    assert found.correlation.estimate == pytest.approx(plainly(samples, offset, 5, seed), abs=1e-6)
    assert found.n_steps == sum(len(hidden) - offset for hidden, _ in samples)


def test_what_the_step_alone_explains_is_nothing():
    found = cross_fitted_correlation(made_up(by_step=4.0, n_samples=60), 0)
    assert found.ahead.low < 0 < found.ahead.high and abs(found.correlation.estimate) < 0.2


def test_a_shared_latent_is_found_at_its_offset_and_nowhere_else():
    samples = made_up(shared=2.0, ahead=1, n_samples=60)
    at_one, at_none = cross_fitted_correlation(samples, 1), cross_fitted_correlation(samples, 0)
    assert at_one.ahead.low > 0.5 and abs(at_one.null.estimate) < 0.1
    assert at_none.ahead.high < 0.3
    assert at_one.ahead.estimate == pytest.approx(at_one.correlation.estimate - at_one.null.estimate)


def test_too_few_samples_are_named():
    with pytest.raises(InputError, match=r"at least 3 samples of more than 0 steps in each of 5 folds, got 14 samples"):
        cross_fitted_correlation(made_up(n_samples=14), 0)
    with pytest.raises(InputError, match="offset 10 needs"):
        cross_fitted_correlation(made_up(n_samples=20), 10)


def test_copies_of_samples_in_one_cluster_have_the_bounds_of_one_copy():
    u, v = np.random.default_rng(1).normal(size=(2, 4, 30, 9))
    v += u
    products = [(a * b).sum(axis=2) for a, b in ((u, u), (v, v), (u, v))]
    moments = np.stack([np.full(u.shape[:2], 9.0), *np.zeros((2, 4, 30)), *products], axis=1)
    one = _compared(moments, range(30), 0, 0).ahead
    three = _compared(np.repeat(moments, 3, axis=2), np.repeat(np.arange(30), 3), 0, 0).ahead
    assert (three.low, three.high) == pytest.approx((one.low, one.high)) and three.method == "cluster BCa bootstrap"


def test_what_the_samples_of_a_cluster_share_is_not_learnt_from_the_others():
    rng = np.random.default_rng(2)
    hidden, scores = np.repeat(rng.normal(size=(24, 9)), 4, axis=0), np.repeat(rng.normal(size=(24, 7)), 4, axis=0)
    noise = 0.05 * rng.normal(size=(2, 96, 5, 1))
    samples = [(np.tile(one, (5, 1)) + a, np.tile(two, (5, 1)) + b) for one, two, a, b in zip(hidden, scores, *noise, strict=True)]
    leaky, honest = (cross_fitted_correlation(samples, 0, clusters=labels, n_nulls=3) for labels in (None, np.repeat(np.arange(24), 4)))
    assert leaky.correlation.low > 0.5
    assert honest.correlation.low < 0.0
