"""Modes of planted mixtures: found again, agreed on and carried over; none where heads go by themselves."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from mechdyn.errors import InputError
from mechdyn.stats.mixture import Mixture, fit_mixture
from mechdyn.stats.modes import CIRCUITS, agreement, carry_over, exchanged, find_modes

RATES = np.full((3, 18), 0.05)
for mode in range(3):
    RATES[mode, 6 * mode : 6 * mode + 6] = 0.8


def planted(seed, n_needles=12, n_rows=30, rates=RATES, weights=(0.5, 0.3, 0.2)):
    rng = np.random.default_rng(seed)
    mode = rng.choice(len(weights), n_needles * n_rows, p=weights)
    return rng.random((len(mode), rates.shape[1])) < rates[mode], np.repeat(np.arange(n_needles), n_rows), mode


def test_the_log_likelihood_sums_to_one_over_all_sets():
    rng = np.random.default_rng(0)
    mixture = Mixture(np.array([0.3, 0.7]), rng.uniform(0.1, 0.9, (2, 5)))
    everything = np.array(list(product([False, True], repeat=5)))
    assert np.exp(mixture.log_likelihood(everything)).sum() == pytest.approx(1.0)
    row = np.array([[True, False, True, True, False]])
    expected = sum(w * stats.bernoulli.pmf(row[0], rates).prod() for w, rates in zip(mixture.weights, mixture.rates, strict=True))
    assert np.exp(mixture.log_likelihood(row)) == pytest.approx(expected)


def test_planted_modes_are_found_and_repeat():
    sets, needle, mode = planted(1)
    found = find_modes(sets, needle, most=5, n_splits=4, n_null=4)
    assert found.n_modes == 3
    assert found.mixture.weights == pytest.approx([0.5, 0.3, 0.2], abs=0.07)
    assert agreement(found.mixture, Mixture(np.array([0.5, 0.3, 0.2]), RATES)) > 0.97
    assert (found.of_row == mode).mean() > 0.95
    assert found.are_circuits
    assert found.agreement > 0.95 > CIRCUITS > max(found.agreement_null)
    assert found.gain.low > 1


def test_heads_that_go_by_themselves_have_one_mode():
    rng = np.random.default_rng(2)
    sets = rng.random((300, 15)) < rng.uniform(0.05, 0.9, 15)
    found = find_modes(sets, np.repeat(np.arange(10), 30), most=4, n_splits=2, n_null=2)
    assert found.n_modes == 1
    assert not found.are_circuits
    assert found.gain.estimate == 0.0
    assert np.isnan(found.agreement)


def test_sizes_alone_do_not_make_circuits():
    """A ranking of which a varying number is on: modes tell sizes apart, and so do those of the null."""
    rng = np.random.default_rng(3)
    sizes = rng.integers(1, 13, 400)
    sets = np.arange(16) < sizes[:, None]
    null = exchanged(sets, rng)
    assert (null.sum(axis=1) == sizes).all()
    assert (null == sets).all()
    found = find_modes(sets, np.repeat(np.arange(20), 20), most=3, n_splits=2, n_null=3)
    assert found.n_modes > 1
    assert found.agreement == pytest.approx(np.mean(found.agreement_null), abs=0.1)


def test_exchanged_sets_keep_sizes_and_rates_and_nothing_else():
    sets, _, _ = planted(4)
    drawn = exchanged(sets, np.random.default_rng(0))
    assert (drawn.sum(axis=1) == sets.sum(axis=1)).all()
    assert (drawn.sum(axis=0) == sets.sum(axis=0)).all()
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]) < 0.15 < np.corrcoef(sets[:, 0], sets[:, 1])[0, 1]


def test_agreement_does_not_mind_the_order():
    mixture = Mixture(np.array([0.5, 0.3, 0.2]), RATES)
    turned = Mixture(np.array([0.2, 0.5, 0.3]), RATES[[2, 0, 1]])
    assert agreement(mixture, turned) == pytest.approx(1.0)
    assert agreement(mixture, Mixture(mixture.weights, np.full((3, 18), 0.4))) == 0.0


def test_modes_carry_over_to_steps_of_the_same_modes_alone():
    one, two = planted(5)[:2], planted(6, weights=(0.2, 0.3, 0.5))[:2]
    third = planted(7, rates=RATES[:, np.random.default_rng(0).permutation(18)])[:2]
    found = carry_over({"one": one, "two": two, "third": third}, {"one": 3, "two": 3, "third": 3})
    assert found["one", "two"].low > 0.5 * found["two", "two"].estimate
    assert found["one", "third"].high < found["two", "two"].low
    with pytest.raises(InputError, match="of one model alone, got heads: one 18, two 17"):
        carry_over({"one": one, "two": (two[0][:, 1:], two[1])}, {"one": 1, "two": 1})


def test_too_little_is_refused():
    sets, needle, _ = planted(8, n_needles=3)
    with pytest.raises(InputError, match="at least 4 needles"):
        find_modes(sets, needle)
    with pytest.raises(InputError, match="at most one for each of 90"):
        fit_mixture(sets, 91)
    with pytest.raises(InputError, match="no head retrieves"):
        find_modes(np.zeros_like(sets), np.arange(len(sets)))
