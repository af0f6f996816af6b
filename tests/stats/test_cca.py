"""The closed form against scikit-learn's iteration, scipy's angles between subspaces and planted truth."""

import numpy as np
import pytest
from scipy import linalg
from sklearn.cross_decomposition import CCA
from sklearn.decomposition import PCA

from mechdyn.errors import InputError
from mechdyn.stats.cca import fit_cca, pca_whitening


def correlated(seed, n_rows=800, n_x=12, n_y=6, strengths=(0.9, 0.6, 0.3)):
    """Two mixed sides that share one latent a strength: population correlations are the strengths, then zeros."""
    rng = np.random.default_rng(seed)
    latent_x, noise = rng.normal(size=(n_rows, n_x)), rng.normal(size=(n_rows, n_y))
    latent_y = noise.copy()
    for column, strength in enumerate(strengths):
        latent_y[:, column] = strength * latent_x[:, column] + np.sqrt(1 - strength**2) * noise[:, column]
    return latent_x @ rng.normal(size=(n_x, n_x)) + rng.normal(size=n_x), latent_y @ rng.normal(size=(n_y, n_y))


@pytest.mark.parametrize("seed", range(3))
def test_equals_scikit_learn(seed):
    x, y = correlated(seed)
    theirs = CCA(n_components=3, max_iter=20_000, tol=1e-12).fit(x, y)
    u, v = theirs.transform(x, y)
    expected = [np.corrcoef(u[:, c], v[:, c])[0, 1] for c in range(3)]
    assert fit_cca(x, y, n_components=3).correlations == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_angles_between_subspaces(seed):
    x, y = correlated(seed, n_x=7, n_y=9)
    angles = linalg.subspace_angles(x - x.mean(axis=0), y - y.mean(axis=0))
    assert fit_cca(x, y).correlations == pytest.approx(np.sort(np.cos(angles))[::-1], abs=1e-9)


def test_variates_are_uncorrelated_but_for_their_partner():
    x, y = correlated(5)
    fit = fit_cca(x, y)
    u, v = fit.x(x), fit.y(y)
    together = np.corrcoef(np.column_stack([u, v]).T)
    expected = np.eye(12)
    expected[:6, 6:] = expected[6:, :6] = np.diag(fit.correlations)
    assert together == pytest.approx(expected, abs=1e-9)
    assert u.std(axis=0) == pytest.approx(np.ones(6))


def test_does_not_depend_on_units_mixing_or_repeated_columns():
    x, y = correlated(6)
    expected = fit_cca(x, y).correlations
    units = 10.0 ** np.arange(-6, 6)
    assert fit_cca(x * units, y + 1e3).correlations == pytest.approx(expected, abs=1e-7)
    doubled = np.column_stack([x, x[:, :3], np.full(len(x), 7.1)])
    assert fit_cca(doubled, y).correlations == pytest.approx(expected, abs=1e-7)
    assert fit_cca(y, x).correlations == pytest.approx(expected)


def test_in_sample_correlations_of_independent_data_rise_with_dimension():
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(300, 60)), rng.normal(size=(300, 60))
    first = [fit_cca(x[:, :width], y[:, :width]).correlations[0] for width in (2, 10, 60)]
    assert first[0] < first[1] < first[2]
    assert first[2] > 0.7


def test_more_columns_than_rows_correlate_fully():
    rng = np.random.default_rng(8)
    fit = fit_cca(rng.normal(size=(20, 40)), rng.normal(size=(20, 30)))
    assert fit.correlations == pytest.approx(np.ones(19))


@pytest.mark.parametrize("variance", [0.5, 0.9, 0.99])
def test_pca_equals_scikit_learn(variance):
    rows = np.random.default_rng(9).normal(size=(500, 20)) * np.linspace(3, 0.1, 20)
    theirs = PCA(n_components=variance, whiten=True, svd_solver="full").fit(rows)
    ours = pca_whitening(np.split(rows, [3, 200, 201]), variance, "rows")
    expected = theirs.transform(rows) * np.sqrt(500 / 499)
    assert np.abs(ours(rows)) == pytest.approx(np.abs(expected), abs=1e-8)
    assert np.cov(ours(rows).T, bias=True) == pytest.approx(np.eye(theirs.n_components_), abs=1e-9)


def test_pca_reads_half_precision_and_many_chunks():
    rows = np.random.default_rng(10).normal(100, 1, size=(9000, 3)).astype(np.float16)
    whole = pca_whitening([rows], 1.0, "rows")
    parts = pca_whitening(list(rows.reshape(900, 10, 3)), 1.0, "rows")
    assert parts.mean == pytest.approx(rows.astype(np.float64).mean(axis=0))
    assert np.abs(parts(rows)) == pytest.approx(np.abs(whole(rows)))


def test_pca_of_a_flat_cloud_keeps_its_rank():
    rows = np.random.default_rng(11).normal(size=(50, 2)) @ np.random.default_rng(12).normal(size=(2, 6))
    assert pca_whitening([rows], 1.0, "rows").weights.shape == (6, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_cca(np.ones((1, 2)), np.ones((1, 2))), "at least 2 rows, got 1"),
        (
            lambda: fit_cca(np.full((9, 2), 0.1), np.random.default_rng(0).normal(size=(9, 2))),
            r"first \(hidden\) side is constant over all 9",
        ),
        (lambda: fit_cca(np.random.default_rng(0).normal(size=(9, 2)), np.full((9, 2), 0.1)), r"second \(scores\) side is constant"),
        (lambda: pca_whitening([np.full((9, 2), 0.1)], 0.9, "hidden states"), "hidden states are constant over all 9 steps"),
        (lambda: pca_whitening([np.ones((9, 2))], 95.0, "scores"), r"scores must lie in \(0, 1\], got 95.0"),
    ],
)
def test_errors_say_what_came(call, message):
    with pytest.raises(InputError, match=message):
        call()
