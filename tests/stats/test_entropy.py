"""Entropies against scipy, published values and the formula by hand; Chao and Shen's sees what was not counted."""

import math

import numpy as np
import pytest
from scipy import stats

from mechdyn.stats.entropy import chao_shen_entropy, plain_entropy


def by_hand(counts):
    """Chao and Shen (2003), term by term."""
    counts = [int(count) for count in counts if count]
    n, f1 = sum(counts), sum(count == 1 for count in counts)
    coverage = 1 - (n - 1 if f1 == n else f1) / n
    shares = [coverage * count / n for count in counts]
    return -sum(share * math.log(share) / (1 - (1 - share) ** n) for share in shares)


def rows(*counts):
    return np.array(counts, dtype=float)


def test_published_value():
    """The counts of the manual of the R package entropy; the value stands in the tests of an independent Julia package as well."""
    found = chao_shen_entropy(rows([4, 2, 3, 0, 2, 4, 0, 0, 2, 1, 1]))
    assert found[0] == pytest.approx(2.201137101279, abs=1e-10)


@pytest.mark.parametrize("seed", range(10))
def test_rows_equal_the_formula_by_hand(seed):
    counts = np.random.default_rng(seed).poisson(1.5, (4, 12)).astype(float)
    counts[:, 0] += 1
    assert chao_shen_entropy(counts) == pytest.approx([by_hand(row) for row in counts])
    assert plain_entropy(counts, counts.sum(axis=1)) == pytest.approx([stats.entropy(row) for row in counts])


def test_heads_that_were_all_counted_once_and_one_head_alone():
    assert chao_shen_entropy(rows([1, 1, 1, 1], [5, 0, 0, 0])) == pytest.approx([by_hand([1, 1, 1, 1]), 0.0], abs=1e-12)


def test_without_a_count_it_is_undefined():
    assert np.isnan(chao_shen_entropy(np.zeros((1, 3)))).all()
    assert np.isnan(plain_entropy(np.zeros((1, 3)), np.ones(1))).all()


def test_it_leans_less_low_where_most_heads_are_rare():
    share = 1 / np.arange(1, 201)
    share /= share.sum()
    counts = np.random.default_rng(1).multinomial(100, share, size=300).astype(float)
    truth = stats.entropy(share)
    plain, corrected = plain_entropy(counts, counts.sum(axis=1)).mean(), chao_shen_entropy(counts).mean()
    assert plain < truth - 0.5
    assert abs(corrected - truth) < 0.5 * (truth - plain)
