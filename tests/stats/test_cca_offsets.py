"""Planted correlations come back, independent data do not correlate on held-out samples, and pairs never cross samples."""

import math

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from mechdyn.errors import InputError
from mechdyn.stats.bca import bca_bounds
from mechdyn.stats.cca import fit_cca
from mechdyn.stats.cca_offsets import cca_by_offset

STRENGTHS = (0.9, 0.6, 0.3)


def independent(seed, n_samples=100, n_steps=20, d_model=30, n_heads=12):
    rng = np.random.default_rng(seed)
    return [(rng.normal(size=(n_steps, d_model)), rng.normal(size=(n_steps, n_heads))) for _ in range(n_samples)]


def planted(seed, offset=0, n_samples=200, n_steps=25, d_model=10, n_heads=6):
    """Scores at n + offset share one latent a strength with the hidden state at n; everything else is noise."""
    rng = np.random.default_rng(seed)
    mix_hidden, mix_scores = orthogonal(rng, d_model), orthogonal(rng, n_heads)
    samples = []
    for _ in range(n_samples):
        hidden, scores = rng.normal(size=(n_steps, d_model)), rng.normal(size=(n_steps, n_heads))
        for column, strength in enumerate(STRENGTHS):
            scores[offset:, column] = strength * hidden[: n_steps - offset, column] + np.sqrt(1 - strength**2) * scores[offset:, column]
        samples.append((hidden @ mix_hidden, scores @ mix_scores))
    return samples


def orthogonal(rng, size):
    return np.linalg.qr(rng.normal(size=(size, size)))[0]


def whole(samples, offsets=(0,), **options):
    """All variance kept, so that planted directions survive the reduction."""
    return cca_by_offset(samples, offsets, hidden_variance=1.0, scores_variance=1.0, **{"n_nulls": 5, **options}).offsets


@pytest.mark.parametrize("offset", [0, 2])
def test_planted_correlations_are_recovered_within_the_interval(offset):
    (at,) = whole(planted(1, offset), [offset])
    for interval, strength in zip(at.held_out.components, STRENGTHS, strict=False):
        assert interval.low < strength < interval.high
        assert interval.high - interval.low < 0.15
    for interval in at.held_out.components[3:]:
        assert interval.low < 0.1
    assert at.held_out.means[1] == at.held_out.components[0]
    assert at.null_held_out.means[1].high < at.held_out.means[1].low


def test_planted_offset_peaks_where_it_was_planted():
    curve = whole(planted(2, offset=2), range(5))
    first = [at.held_out.means[1].estimate for at in curve]
    assert first[2] > 0.85
    assert max(first[:2] + first[3:]) < 0.15


def test_independent_data_correlate_in_sample_only():
    (at,) = cca_by_offset(independent(3), [0], n_nulls=5).offsets
    for top in (1, 10, 50):
        assert at.held_out.means[top].low < 0.0 < at.held_out.means[top].high
        assert at.in_sample.means[top].low > 0.02
    assert at.in_sample.means[1].low > 0.1
    assert at.null_in_sample.means[1].estimate == pytest.approx(at.in_sample.means[1].estimate, abs=0.05)


def test_held_out_interval_covers_zero_about_as_often_as_it_says():
    covered = 0
    for seed in range(25):
        samples = independent(100 + seed, n_samples=60, n_steps=6, d_model=4, n_heads=3)
        interval = whole(samples, n_nulls=1, seed=seed)[0].held_out.means[1]
        covered += interval.low <= 0.0 <= interval.high
    assert covered >= 20


def test_null_keeps_what_the_step_explains_and_nothing_else():
    """Hidden states and scores that both only tell the step correlate as much with another sample's."""
    rng = np.random.default_rng(4)
    clock_hidden, clock_scores = rng.normal(size=(12, 8)), rng.normal(size=(12, 5))
    clocked = [(clock_hidden + 0.3 * rng.normal(size=(12, 8)), clock_scores + 0.3 * rng.normal(size=(12, 5))) for _ in range(60)]
    (at,) = whole(clocked)
    assert at.held_out.means[1].estimate > 0.8
    assert at.null_held_out.means[1].estimate == pytest.approx(at.held_out.means[1].estimate, abs=0.02)


def test_every_null_pairing_meets_another_sample():
    """Scores that give the sample away correlate with its own hidden state and never in the null."""
    rng = np.random.default_rng(5)
    names = rng.normal(size=(80, 3))
    samples = [(np.tile(name, (5, 1)), np.tile(name[:2], (5, 1))) for name in names]
    (at,) = whole(samples, n_nulls=20)
    assert at.held_out.means[1].estimate == pytest.approx(1.0)
    assert at.null_held_out.means[1].high < 0.6


def test_in_sample_and_held_out_equal_a_plain_computation():
    """The estimate is the Pearson correlation of the test rows on directions fitted on the training rows."""
    samples = planted(6, n_samples=30)
    samples = [(hidden[: 3 + i % 20], scores[: 3 + i % 20]) for i, (hidden, scores) in enumerate(samples)]
    result = cca_by_offset(samples, [1], hidden_variance=1.0, scores_variance=1.0, n_nulls=1, seed=3)
    order = np.random.default_rng(3).permutation(30)
    test, train = order[:9], order[9:]
    x, x_test = (np.concatenate([samples[i][0][:-1] for i in part]) for part in (train, test))
    y, y_test = (np.concatenate([samples[i][1][1:] for i in part]) for part in (train, test))
    fit = fit_cca(x, y)
    expected = [np.corrcoef(u, v)[0, 1] for u, v in zip(fit.x(x_test).T, fit.y(y_test).T, strict=True)]
    at = result.offsets[0]
    assert [interval.estimate for interval in at.held_out.components] == pytest.approx(expected, abs=1e-6)
    assert [interval.estimate for interval in at.in_sample.components] == pytest.approx(fit.correlations.tolist(), abs=1e-6)
    assert (at.n_train_steps, at.n_test_steps, at.held_out.means[1].n, result.n_train) == (len(x), len(x_test), 9, 21)


def test_intervals_equal_a_loop_that_draws_samples():
    samples = planted(7, n_samples=30, n_steps=8)
    at = whole(samples, seed=0)[0]
    order = np.random.default_rng(0).permutation(30)
    fit = fit_cca(*(np.concatenate([samples[i][side] for i in order[9:]]) for side in (0, 1)))
    u = [fit.x(samples[i][0])[:, 0] for i in order[:9]]
    v = [fit.y(samples[i][1])[:, 0] for i in order[:9]]
    draws = np.random.default_rng(0).integers(0, 9, (2000, 9))
    values = [np.corrcoef(np.concatenate([u[i] for i in row]), np.concatenate([v[i] for i in row]))[0, 1] for row in draws]
    without = [np.corrcoef(*(np.concatenate(side[:i] + side[i + 1 :]) for side in (u, v)))[0, 1] for i in range(9)]
    expected = bca_bounds(np.array(values), at.held_out.means[1].estimate, np.array(without), 0.95)
    assert (at.held_out.means[1].low, at.held_out.means[1].high) == pytest.approx(expected, abs=1e-6)


def repeating(seed, rate, n_samples=120, n_steps=20, n_heads=5):
    """Scores that follow their last value; hidden states show nothing but the scores of the same step."""
    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(n_samples):
        scores = rng.normal(size=(n_steps, n_heads))
        for step in range(1, n_steps):
            scores[step] = rate * scores[step - 1] + np.sqrt(1 - rate**2) * scores[step]
        samples.append((np.column_stack([scores, rng.normal(size=(n_steps, 3))]), scores))
    return samples


def test_repeating_scores_look_like_planning_until_the_partial_says_otherwise():
    at = whole(repeating(8, rate=0.8), [1])[0]
    assert at.held_out.means[1].estimate == pytest.approx(0.8, abs=0.05)
    assert at.persistence.means[1].estimate == pytest.approx(at.held_out.means[1].estimate, abs=0.02)
    assert at.partial.means[1].low < 0.0 < at.partial.means[1].high


def test_planted_planning_survives_the_partial():
    at = whole(planted(9, offset=1), [1])[0]
    assert at.partial.means[1].low > 0.8
    assert at.persistence.means[1].low < 0.0 < at.persistence.means[1].high


def test_partial_equals_regression_residuals():
    samples = repeating(10, rate=0.5, n_samples=20)
    at = whole(samples, [1], seed=1)[0]
    order = np.random.default_rng(1).permutation(20)
    rows = []
    for part in (order[6:], order[:6]):
        rows.append(
            [
                np.concatenate(blocks)
                for blocks in zip(*((samples[i][0][:-1], samples[i][1][1:], samples[i][1][:-1]) for i in part), strict=True)
            ]
        )
    (x, y, now), (x_test, y_test, now_test) = rows
    for_x, for_y = LinearRegression().fit(now, x), LinearRegression().fit(now, y)
    fit = fit_cca(x - for_x.predict(now), y - for_y.predict(now), floor=1e-6)
    u, v = fit.x(x_test - for_x.predict(now_test)), fit.y(y_test - for_y.predict(now_test))
    assert at.partial.components[0].estimate == pytest.approx(np.corrcoef(u[:, 0], v[:, 0])[0, 1], abs=1e-5)


def test_scores_that_repeat_exactly_leave_nothing_to_correlate():
    rng = np.random.default_rng(11)
    samples = [(rng.normal(size=(6, 4)), np.tile(rng.normal(size=(1, 3)), (6, 1))) for _ in range(20)]
    at = whole(samples, [1])[0]
    assert at.persistence.means[1].estimate == pytest.approx(1.0)
    assert at.partial.components == ()
    assert math.isnan(at.partial.means[1].estimate)


def test_offset_zero_has_no_persistence():
    at = whole(planted(12, n_samples=20))[0]
    assert at.persistence is None
    assert at.partial is None


def test_constant_heads_are_dropped_and_counted_and_components_said():
    samples = [(hidden, np.column_stack([scores, np.full((20, 2), 0.3)])) for hidden, scores in independent(13, n_samples=40)]
    result = cca_by_offset(samples, [0], n_nulls=1)
    plain = cca_by_offset(independent(13, n_samples=40), [0], n_nulls=1)
    assert result.n_constant_heads == 2
    assert result.offsets[0].in_sample.means[1].estimate == pytest.approx(plain.offsets[0].in_sample.means[1].estimate)
    assert result.offsets[0].n_components == len(result.offsets[0].held_out.components) == result.scores_rank <= 12
    assert cca_by_offset(samples, [0], n_nulls=1, n_components=4).offsets[0].n_components == 4


def test_scores_may_be_boolean_and_hidden_states_half_precision():
    rng = np.random.default_rng(14)
    samples = [((hidden := rng.normal(size=(9, 6)).astype(np.float16)), hidden[:, :4] > 0.5) for _ in range(40)]
    assert cca_by_offset(samples, [0], n_nulls=1).offsets[0].held_out.means[1].low > 0.5


def test_samples_of_unequal_length_drop_out_as_the_offset_grows():
    samples = [(hidden[: 2 + i], scores[: 2 + i]) for i, (hidden, scores) in enumerate(independent(15, n_samples=18))]
    samples.append((np.zeros((0, 30)), np.zeros((0, 12))))
    steps = [at.n_train_steps + at.n_test_steps for at in cca_by_offset(samples, range(4), n_nulls=2).offsets]
    lengths = [len(hidden) for hidden, _ in samples]
    assert steps == [sum(max(0, length - k) for length in lengths) for k in range(4)]


@pytest.mark.parametrize(
    ("samples", "options", "message"),
    [
        ([], {}, "at least 2 samples with steps on either side, none of which share a needle or a haystack, got 0 to train and 0 to test"),
        (independent(0, n_samples=4), {}, "got 3 to train and 1 to test; trace more samples"),
        (independent(0, n_samples=10), {"offsets": [20]}, r"offset 20 needs .* the longest sample has 20 steps"),
        (independent(0, n_samples=10), {"offsets": [-1]}, r"offsets must be 0 or more, at least one of them, got \[-1\]"),
        (independent(0, n_samples=10), {"offsets": []}, r"at least one of them, got \[\]"),
        (independent(0, n_samples=10), {"n_nulls": 0}, "must be at least 1, got 50 and 0"),
        ([(h, s * 0 + 0.5) for h, s in independent(0, n_samples=10)], {}, "scores are constant over every step for all 12 heads"),
        ([(h * 0, s) for h, s in independent(0, n_samples=10)], {}, "hidden states are constant over all 140 steps"),
        ([(h[:-1], s) for h, s in independent(0, n_samples=10)], {}, "sample 0 has 19 hidden states but scores of 20 steps"),
        ([(h + np.inf, s) for h, s in independent(0, n_samples=10)], {}, "sample 0 holds NaN or infinite values"),
        ([*independent(0, n_samples=9), *independent(0, n_samples=1, n_heads=7)], {}, "samples must come from one model"),
    ],
)
def test_errors_say_what_came(samples, options, message):
    with pytest.raises(InputError, match=message):
        cca_by_offset(samples, **{"offsets": [0], "n_nulls": 1, **options})


def test_samples_of_one_cluster_are_on_one_side_and_drawn_together():
    """Copies of a sample tell no more than one of them: estimate and bounds are those of the clusters' first samples."""
    samples = planted(8, n_samples=30, n_steps=8)
    copies = [sample for sample in samples for _ in range(3)]
    one, three = (whole(each, n_nulls=2, clusters=labels)[0] for each, labels in ((samples, None), (copies, np.repeat(np.arange(30), 3))))
    for alone, copied in zip(one.held_out.components, three.held_out.components, strict=True):
        assert (copied.estimate, copied.low, copied.high) == pytest.approx((alone.estimate, alone.low, alone.high), abs=1e-6)
        assert (alone.n, copied.n) == (9, 27)
    with pytest.raises(InputError, match="none of which share a needle"):
        whole(copies, n_nulls=2, clusters=[0] * 90)


def test_names_that_samples_share_tell_nothing_on_held_out_ones():
    """What gives the cluster away, and is another thing in each, is learnt in training alone."""
    rng = np.random.default_rng(9)
    hidden, scores = np.repeat(rng.normal(size=(20, 12)), 4, axis=0), np.repeat(rng.normal(size=(20, 6)), 4, axis=0)
    noise = 0.05 * rng.normal(size=(80, 5, 12))
    samples = [(np.tile(one, (5, 1)) + more, np.tile(two, (5, 1))) for one, two, more in zip(hidden, scores, noise, strict=True)]
    leaky, honest = (whole(samples, n_nulls=1, clusters=labels)[0] for labels in (None, np.repeat(np.arange(20), 4)))
    assert leaky.held_out.means[1].estimate > 0.7
    assert honest.held_out.means[1].low < 0.0
