"""Shares of variance: the equations by brute force, known components, and what cannot be told apart."""

import numpy as np
import pytest

from mechdyn.errors import InputError
from mechdyn.stats.variance_shares import REST, variance_components, variance_shares


def crossed(rng, n_needles=6, n_tokens=5, n_steps=4, keep=0.8):
    """Labels of an unbalanced design: each needle in two haystacks of its own, some cells missing."""
    rows = [
        (token, step, needle, 2 * needle + haystack)
        for needle in range(n_needles)
        for haystack in range(2)
        for token in range(n_tokens)
        for step in range(n_steps)
        if rng.random() < keep
    ]
    return dict(zip(("token", "step", "needle", "haystack"), np.array(rows).T, strict=True))


def effects(rng, labels, sds, n_heads, noise):
    values = noise * rng.standard_normal((len(labels["token"]), n_heads))
    for name, sd in sds.items():
        values += sd * rng.standard_normal((labels[name].max() + 1, n_heads))[labels[name]]
    return values


def by_pairs(values, labels):
    """The same equations from the definition: half the squared difference of every two rows of a level, over its size."""
    n = len(values)
    half = 0.5 * ((values[:, None, :] - values[None, :, :]) ** 2).sum(axis=2)
    same = {name: column[:, None] == column[None, :] for name, column in labels.items()}
    other = ~np.eye(n, dtype=bool)
    left, right = [], []
    for level in (*same.values(), np.ones((n, n), dtype=bool)):
        weight = level / level.sum(axis=1, keepdims=True)
        left.append([(weight * ~alike).sum() for alike in same.values()] + [(weight * other).sum()])
        right.append((weight * half).sum())
    return np.linalg.solve(left, right)


def test_components_are_those_of_the_pairs_of_rows():
    rng = np.random.default_rng(3)
    labels = crossed(rng)
    values = (effects(rng, labels, {"token": 1.0, "needle": 0.5}, 7, 1.0) > 0.3).astype(float)
    found = variance_shares(values, labels, labels["needle"])
    expected = by_pairs(values, labels)
    assert found.total.estimate == pytest.approx(expected.sum())
    assert [share.estimate for share in found.shares.values()] == pytest.approx(expected / expected.sum())
    assert list(found.shares) == ["token", "step", "needle", "haystack", REST]


def test_a_resample_counts_a_needle_twice_as_two_needles():
    rng = np.random.default_rng(5)
    labels = crossed(rng, n_needles=3)
    values = effects(rng, labels, {"token": 1.0}, 2, 1.0)
    pick = np.concatenate([np.flatnonzero(labels["needle"] == needle) for needle in (0, 0, 2)])
    copy = np.concatenate([np.full((labels["needle"] == needle).sum(), place) for place, needle in enumerate((0, 0, 2))])
    drawn = {name: column[pick] for name, column in labels.items()}
    drawn |= {"needle": copy, "haystack": 2 * copy + drawn["haystack"] % 2}
    found = variance_components(values, labels, labels["needle"], np.array([2.0, 0.0, 1.0]))
    assert list(found.values()) == pytest.approx(by_pairs(values[pick], drawn).tolist())


def test_known_components_come_back_without_bias():
    rng = np.random.default_rng(0)
    sds = {"token": 0.8, "step": 0.4, "needle": 0.6, "haystack": 0.3}
    labels = crossed(rng, n_needles=10, n_tokens=10, n_steps=8, keep=0.3)
    values = effects(rng, labels, sds, 1000, 1.0)
    found = variance_shares(values, labels, labels["needle"])
    total = 1.0 + sum(sd**2 for sd in sds.values())
    for name, sd in sds.items():
        assert found.shares[name].estimate == pytest.approx(sd**2 / total, abs=0.02), name
    assert found.shares[REST].estimate == pytest.approx(1.0 / total, abs=0.02)


def test_of_zeros_and_ones_a_share_is_that_of_the_probabilities():
    """Each head's probability is 0.2 or 0.8 by token: variance 0.09 of 0.25."""
    rng = np.random.default_rng(1)
    labels = crossed(rng, n_needles=10, n_tokens=10)
    chance = np.where(rng.random((10, 500)) < 0.5, 0.2, 0.8)[labels["token"]]
    found = variance_shares((rng.random(chance.shape) < chance).astype(float), labels, labels["needle"])
    assert found.shares["token"].estimate == pytest.approx(0.36, abs=0.03)
    assert found.shares["step"].estimate == pytest.approx(0.0, abs=0.02)


def test_estimates_below_zero_are_given_as_they_are():
    rng = np.random.default_rng(2)
    labels = crossed(rng)
    found = [variance_shares(rng.standard_normal((len(labels["token"]), 3)), labels, labels["needle"]) for _ in range(8)]
    assert any(each.shares["step"].estimate < 0 for each in found)
    assert all(sum(share.estimate for share in each.shares.values()) == pytest.approx(1.0) for each in found)


def test_what_cannot_be_told_apart_is_refused():
    rng = np.random.default_rng(4)
    labels = crossed(rng)
    values = rng.standard_normal((len(labels["token"]), 3))
    with pytest.raises(InputError, match="cannot be told apart"):
        variance_shares(values, {**labels, "again": labels["token"]}, labels["needle"])
    with pytest.raises(InputError, match="at least two needles"):
        variance_shares(values, labels, np.zeros(len(values), dtype=int))
    with pytest.raises(InputError, match="no head varies"):
        variance_shares(np.ones_like(values), labels, labels["needle"])
