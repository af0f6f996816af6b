"""How much of what a head does goes by the token, the step, the needle, the haystack: a crossed mixed model without a distribution.

Whether head h retrieves at row i, 0 or 1, is taken as μ_h + Σ_f a_hf[level of factor f in i] + e_hi, all effects uncorrelated, with
variances σ²_hf and σ²_he. So for two rows i ≠ j

    E ½ (y_hi − y_hj)² = Σ_f σ²_hf [i and j differ in f] + σ²_he,

whatever the distribution, so it holds for 0 and 1 as well. The estimates are the method of moments of Gao and Owen (2017, "Efficient moment
calculations for variance components in large unbalanced crossed random effects models", section 4) for any number of factors: the sums of
squares within the levels of each factor, and about the mean,

    U_f = Σ_levels Σ_{i in level} (y_i − mean of the level)²,    E U_f = Σ_g σ²_g (N − Σ_{l, m} n_lm² / n_l) + σ²_e (N − number of levels),

with n_l rows in level l of f and n_lm of them in level m of g, are as many linear equations as there are components. They are unbiased for
any design in which they can be solved, and in a balanced one are those of the analysis of variance. They are summed over heads before they
are solved: Σ_h (y_hi − y_hj)² is the number of heads that two steps do not share. A share is a component over the sum of all.

An estimate below 0 is given as it came out: it says that the component cannot be told from 0. Intervals leave out one needle at a time
(`mechdyn.stats.jackknife`): a bootstrap would be biased, since two copies of a needle agree as no two needles do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from mechdyn.errors import InputError
from mechdyn.stats.interval import Interval
from mechdyn.stats.jackknife import jackknife_many
from mechdyn.stats.resampling import Weights

REST = "rest"
_NUMBERS_AT_ONCE = 4_000_000
_WORST_CONDITION = 1e10
Labels = Int[np.ndarray, " row"]


@dataclass(frozen=True)
class VarianceShares:
    """Shares of the variance of all heads together, by factor and `rest`; they add up to 1.

    `total` is the sum of the components over all heads: the variance of the number 0 or 1 at a step of a new needle, summed over heads.
    `n_heads` counts the heads that vary, `n_rows` the steps, `n_clusters` what the intervals leave out one by one.
    """

    shares: Mapping[str, Interval]
    total: Interval
    n_heads: int
    n_rows: int
    n_clusters: int


def variance_shares(values: Shaped[np.ndarray, "row head"], factors: Mapping[str, Labels], clusters: Labels) -> VarianceShares:
    """Shares of variance by factor and of the rest.

    Args:
        values: what each head does at each step, 0 or 1, or scores.
        factors: a label for each row, by factor. Each factor is either nested in the clusters (no level in two of them) or crosses them.
        clusters: a label for each row; what is left out together, such as the needle.

    Raises:
        InputError: labels of another number of rows, fewer than two clusters, no head that varies, or a design whose components cannot
            be told apart (two factors with the same levels, or one with a level for each row).
    """
    values, design = _checked(values, factors, clusters)
    names = (*factors, REST)

    def statistic(weights: Weights) -> Float[np.ndarray, "resample value"]:
        size = max(1, _NUMBERS_AT_ONCE // max(1, design.widest * values.shape[1]))
        parts = [_components(values, design, weights[start : start + size]) for start in range(0, len(weights), size)]
        components = np.concatenate(parts)
        total = components.sum(axis=1, keepdims=True)
        shares = np.divide(components, total, out=np.full_like(components, np.nan), where=total > 0)
        return np.concatenate([shares, total], axis=1)

    if np.isnan(statistic(np.ones((1, design.n_clusters)))).any():
        raise InputError(
            f"the components of {', '.join(factors)} cannot be told apart in this design: two of them share their levels, or one has a "
            "level for each row; give needles in several orders and haystacks"
        )
    *shares, total = jackknife_many(statistic, design.n_clusters)
    return VarianceShares(dict(zip(names, shares, strict=True)), total, values.shape[1], len(values), design.n_clusters)


def variance_components(
    values: Shaped[np.ndarray, "row head"], factors: Mapping[str, Labels], clusters: Labels, weights: Float[np.ndarray, " cluster"]
) -> dict[str, float]:
    """The components themselves, summed over heads, of a sample that holds each cluster as often as `weights` says.

    Clusters are in ascending order of their labels; a copy of one is a cluster of its own.

    Raises:
        InputError: as `variance_shares`.
    """
    values, design = _checked(values, factors, clusters)
    found = _components(values, design, np.asarray(weights, dtype=np.float64)[None, :])[0]
    return dict(zip((*factors, REST), found.tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class _Factor:
    """A factor's levels, numbered from 0; `owner` is the cluster of each level where it is nested, None where it crosses clusters."""

    level: Labels
    n_levels: int
    owner: Int[np.ndarray, " level"] | None


@dataclass(frozen=True, eq=False)
class _Design:
    factors: Sequence[_Factor]
    cluster: Labels
    n_clusters: int

    @property
    def widest(self) -> int:
        """Levels of the largest factor that crosses clusters."""
        return max((each.n_levels for each in self.factors if each.owner is None), default=1)

    def counts(self, factor: _Factor, rows: Bool[np.ndarray, " row"] | slice = slice(None)) -> Float[np.ndarray, "level cluster"]:
        """How many of some rows each level has in each cluster."""
        return _table(factor.level[rows], self.cluster[rows], factor.n_levels, self.n_clusters)

    def summed(self, by_level: Float[np.ndarray, " level"], factor: _Factor) -> Float[np.ndarray, " cluster"]:
        """A nested factor's values, summed over the levels of each cluster."""
        assert factor.owner is not None
        return np.bincount(factor.owner, by_level, minlength=self.n_clusters)


def _checked(
    values: Shaped[np.ndarray, "row head"], factors: Mapping[str, Labels], clusters: Labels
) -> tuple[Float[np.ndarray, "row varying"], _Design]:
    wrong = [name for name, labels in {**factors, "clusters": clusters}.items() if len(labels) != len(values)]
    if wrong:
        raise InputError(f"{wrong[0]} needs one label for each of {len(values)} rows")
    names, cluster = np.unique(clusters, return_inverse=True)
    if len(names) < 2:
        raise InputError(f"shares of variance need at least two needles, got {len(names)}")
    values = np.asarray(values, dtype=np.float64)
    values = values[:, (values != values[0]).any(axis=0)]
    if not values.shape[1]:
        raise InputError("no head varies over these steps, so there is no variance to share out")
    return values - values.mean(axis=0), _Design([_factor(labels, cluster) for labels in factors.values()], cluster, len(names))


def _factor(labels: Labels, cluster: Labels) -> _Factor:
    names, level = np.unique(labels, return_inverse=True)
    pairs = np.unique(np.stack([level, cluster]), axis=1)
    return _Factor(level, len(names), pairs[1] if pairs.shape[1] == len(names) else None)


def _table(rows: Labels, columns: Labels, n_rows: int, n_columns: int) -> Float[np.ndarray, "{n_rows} {n_columns}"]:
    return np.bincount(rows * n_columns + columns, minlength=n_rows * n_columns).reshape(n_rows, n_columns).astype(np.float64)


def _components(values: Float[np.ndarray, "row head"], design: _Design, weights: Weights) -> Float[np.ndarray, "resample component"]:
    """Every component, summed over heads, of each resample; NaN where the equations have no single solution."""
    whole = _Factor(np.zeros(len(values), dtype=np.int64), 1, None)
    equations = (*design.factors, whole)
    left = np.stack([_coefficients(design, factor, weights) for factor in equations], axis=1)
    right = np.stack([_within(values, design, factor, weights) for factor in equations], axis=1)
    scaled = left / np.maximum(np.abs(left).max(axis=(1, 2), keepdims=True), 1.0)
    solvable = np.linalg.cond(scaled) < _WORST_CONDITION
    found = np.full(right.shape, np.nan)
    found[solvable] = np.linalg.solve(left[solvable], right[solvable][..., None])[..., 0]
    return found


def _coefficients(design: _Design, factor: _Factor, weights: Weights) -> Float[np.ndarray, "resample component"]:
    """What each component, that of the rest last, adds to the expected sum of squares within the levels of `factor`."""
    counts = design.counts(factor)
    n_rows, sizes = weights @ counts.sum(axis=0), weights @ counts.T
    n_levels = (sizes > 0).sum(axis=1) if factor.owner is None else weights @ design.summed(np.ones(factor.n_levels), factor)
    shared = [_squares_shared(design, factor, other, weights) for other in design.factors]
    return np.stack([*(n_rows - squares for squares in shared), n_rows - n_levels], axis=1)


def _squares_shared(design: _Design, factor: _Factor, other: _Factor, weights: Weights) -> Float[np.ndarray, " resample"]:
    """Σ_{l, m} n_lm² / n_l in each resample, l the levels of `factor`, m those of `other`."""
    shared = _table(factor.level, other.level, factor.n_levels, other.n_levels)
    if factor.owner is not None:
        return weights @ design.summed((shared**2).sum(axis=1) / shared.sum(axis=1), factor)
    sizes = weights @ design.counts(factor).T
    if other.owner is not None:
        squares = weights @ np.stack([design.summed(row, other) for row in shared**2], axis=1)
    else:
        squares = sum((weights @ design.counts(factor, other.level == level).T) ** 2 for level in range(other.n_levels))
    return np.divide(squares, sizes, out=np.zeros_like(sizes), where=sizes > 0).sum(axis=1)


def _within(values: Float[np.ndarray, "row head"], design: _Design, factor: _Factor, weights: Weights) -> Float[np.ndarray, " resample"]:
    """The sum of squares within the levels, over all heads."""
    squares = weights @ np.bincount(design.cluster, (values**2).sum(axis=1), minlength=design.n_clusters)
    n_heads = values.shape[1]
    if factor.owner is not None:
        sums = np.zeros((factor.n_levels, n_heads))
        np.add.at(sums, factor.level, values)
        return squares - weights @ design.summed((sums**2).sum(axis=1) / np.bincount(factor.level), factor)
    sums = np.zeros((design.n_clusters, factor.n_levels, n_heads))
    np.add.at(sums, (design.cluster, factor.level), values)
    drawn = (weights @ sums.reshape(design.n_clusters, -1)).reshape(len(weights), factor.n_levels, n_heads)
    between, sizes = (drawn**2).sum(axis=2), weights @ design.counts(factor).T
    return squares - np.divide(between, sizes, out=np.zeros_like(between), where=sizes > 0).sum(axis=1)
