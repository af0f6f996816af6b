"""Table 1 against plain Python sets, on planted truth and at the edges."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.heads import HeadSet
from mechdyn.stats.bca import bca_bounds
from mechdyn.stats.overlap import (
    activated_heads,
    adjacent_jaccard,
    dynamism_table,
    head_entropy,
    heads_per_step,
    retest_jaccard,
    static_jaccard,
    static_ranking,
)
from mechdyn.stats.proportions import unseen

N_LAYERS, N_HEADS = 3, 5


@dataclass(frozen=True, eq=False)
class FakeTrace:
    tokens: torch.Tensor
    retrieval_scores: torch.Tensor

    @property
    def active(self):
        return self.retrieval_scores > 0


def random_samples(seed, n=12, density=0.15, max_steps=9):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(0, max_steps, (n,), generator=generator).tolist()
    return [torch.rand(length, N_LAYERS, N_HEADS, generator=generator) < density for length in lengths]


def trace_of(active, tokens=None):
    return FakeTrace(torch.arange(len(active)) if tokens is None else torch.tensor(tokens), active.float())


def as_sets(active):
    """The twin's view: a list of sets of (layer, head), built one entry at a time."""
    return [
        {(layer, head) for layer in range(active.shape[1]) for head in range(active.shape[2]) if active[step, layer, head]}
        for step in range(active.shape[0])
    ]


def means(pairs):
    """Jaccard of pairs of sets: over pairs of non-empty sets, over all defined pairs, and the undefined."""
    values = [(len(a & b) / len(a | b), bool(a and b)) for a, b in pairs if a | b]
    both = [value for value, full in values if full]
    return np.mean(both), np.mean([value for value, _ in values]), len(both), len(values), len(pairs) - len(values)


def check(jaccard, expected):
    assert jaccard.retrieving.estimate == pytest.approx(expected[0])
    assert jaccard.all_steps.estimate == pytest.approx(expected[1])
    assert (jaccard.n_retrieving, jaccard.n_defined, jaccard.n_undefined) == expected[2:]


@pytest.mark.parametrize("seed", range(4))
def test_jaccards_equal_python_sets(seed):
    samples = random_samples(seed)
    again = [sample ^ (torch.rand(sample.shape) < 0.1) for sample in samples]
    sets, sets_again = [as_sets(sample) for sample in samples], [as_sets(sample) for sample in again]
    static = HeadSet.of([(0, 1), (1, 4), (2, 2)], N_LAYERS, N_HEADS)
    check(adjacent_jaccard(samples), means([(s[t], s[t + 1]) for s in sets for t in range(len(s) - 1)]))
    check(static_jaccard(samples, static), means([(heads, set(static.heads)) for s in sets for heads in s]))
    check(
        retest_jaccard(list(zip(samples, again, strict=True))),
        means([pair for s, other in zip(sets, sets_again, strict=True) for pair in zip(s, other, strict=True)]),
    )


@pytest.mark.parametrize("seed", range(4))
def test_entropy_and_counts_equal_loops(seed):
    samples = random_samples(seed)
    steps = [heads for sample in samples for heads in as_sets(sample)]
    heads = {head for step in steps for head in step}
    p = {head: sum(head in step for step in steps) / len(steps) for head in heads}
    q = {head: p[head] / sum(p.values()) for head in heads}
    measured = head_entropy(samples)
    assert measured.entropy.estimate == pytest.approx(-sum(v * math.log(v) for v in q.values()))
    assert measured.raw.estimate == pytest.approx(-sum(v * math.log(v) for v in p.values()))
    assert measured.effective_heads.estimate == pytest.approx(math.exp(measured.entropy.estimate))
    sizes = [len(step) for step in steps if step]
    per_step = heads_per_step(samples)
    assert per_step.mean.estimate == pytest.approx(np.mean(sizes))
    assert per_step.sd == pytest.approx(np.std(sizes, ddof=1))
    assert per_step.all_steps.estimate == pytest.approx(sum(sizes) / len(steps))
    assert (activated_heads(samples).activated, activated_heads(samples).total) == (len(heads), N_LAYERS * N_HEADS)


def test_intervals_resample_samples():
    """The bounds equal those of a loop that draws whole samples and recounts their steps."""
    samples = [sample for sample in random_samples(11, n=8, density=0.4) if len(sample) > 1]
    pairs = [[(s[t], s[t + 1]) for t in range(len(s) - 1)] for s in map(as_sets, samples)]
    draws = np.random.default_rng(0).integers(0, len(samples), (2000, len(samples)))
    values = [means([pair for i in row for pair in pairs[i]])[0] for row in draws[:2000]]
    without = [means([pair for j, row in enumerate(pairs) if j != i for pair in row])[0] for i in range(len(pairs))]
    interval = adjacent_jaccard(samples).retrieving
    expected = bca_bounds(np.array(values), interval.estimate, np.array(without), 0.95)
    assert (interval.low, interval.high) == pytest.approx(expected)


def bounds(interval):
    return interval.low, interval.high


def test_copies_of_samples_in_one_cluster_tell_nothing_new():
    """Three copies of every sample, labelled as such, have the bounds of one; without labels they are taken for three times as much."""
    once = [sample for sample in random_samples(12, n=10, density=0.4) if len(sample) > 1]
    copies, labels = once * 3, list(range(len(once))) * 3
    pairs, static = list(zip(once, reversed(once), strict=True)), HeadSet.of([(0, 0), (1, 3)], N_LAYERS, N_HEADS)
    pairs = [(one[: min(map(len, pair))], other[: min(map(len, pair))]) for pair in pairs for one, other in [pair]]
    table = dynamism_table(once, {"a": static}, pairs)
    clustered = dynamism_table(copies, {"a": static}, pairs * 3, clusters=labels, pair_clusters=labels)
    naive = dynamism_table(copies, {"a": static}, pairs * 3)
    for read in (
        lambda each: each.adjacent.retrieving,
        lambda each: each.adjacent.all_steps,
        lambda each: each.static["a"].retrieving,
        lambda each: each.retest.retrieving,
        lambda each: each.entropy.entropy,
        lambda each: each.entropy.raw,
        lambda each: each.per_step.mean,
        lambda each: each.per_step.all_steps,
    ):
        assert bounds(read(clustered)) == pytest.approx(bounds(read(table)))
        assert read(clustered).method == "cluster BCa bootstrap"
    for read in (lambda each: each.adjacent.retrieving, lambda each: each.static["a"].retrieving, lambda each: each.per_step.mean):
        assert read(naive).high - read(naive).low < 0.8 * (read(table).high - read(table).low)
    assert clustered.entropy.chao_shen.method == "cluster BCa bootstrap"


def test_a_sample_that_does_not_retrieve_keeps_the_others_in_their_clusters():
    samples = random_samples(13, n=9, density=0.4)
    labels = ["a", "a", "b", "b", "c", "c", "d", "d", "e"]
    silent = [torch.zeros(4, N_LAYERS, N_HEADS, dtype=torch.bool), *samples]
    for measured in (lambda of, labels: head_entropy(of, labels).entropy, lambda of, labels: heads_per_step(of, labels).mean):
        assert bounds(measured(silent, ["z", *labels])) == pytest.approx(bounds(measured(samples, labels)))


def test_planted_static_heads_score_one_everywhere():
    planted = HeadSet.of([(0, 0), (1, 3), (2, 4)], N_LAYERS, N_HEADS)
    samples = [planted.mask().expand(6, -1, -1).clone() for _ in range(10)]
    table = dynamism_table(samples, {"top 3": planted}, list(zip(samples, samples, strict=True)))
    for jaccard in (table.adjacent, table.static["top 3"], table.retest):
        assert (jaccard.retrieving.estimate, jaccard.retrieving.high) == (1.0, 1.0)
        assert jaccard.retrieving.low == pytest.approx(1 - unseen(10, 1.959964))  # ten samples alike are no proof of all
    assert table.entropy.entropy.estimate == pytest.approx(math.log(3))
    assert table.entropy.effective_heads.estimate == pytest.approx(3.0)
    assert table.entropy.raw.estimate == pytest.approx(0.0)
    assert table.per_step.sd == 0.0
    assert table.activated.activated == 3


def test_uniform_heads_reach_the_baseline_of_eq_4():
    """One head after the other, twenty in all: ln 20, raw sum included."""
    active = torch.eye(20, dtype=torch.bool).reshape(20, 4, 5)
    measured = head_entropy([active, active])
    assert measured.entropy.estimate == pytest.approx(math.log(20))
    assert measured.raw.estimate == pytest.approx(math.log(20))
    assert adjacent_jaccard([active, active]).retrieving.estimate == 0.0


def test_planted_schedule_shows_as_dynamic_and_noise_does_not():
    """Heads that follow the step repeat in a retest but not in the next step; heads drawn anew do neither."""
    generator = torch.Generator().manual_seed(0)
    schedule = torch.rand(20, N_LAYERS, N_HEADS, generator=generator) < 0.3
    schedule[:, 0, 0] = True
    scheduled = dynamism_table([schedule] * 30, {}, [(schedule, schedule)] * 30)
    assert scheduled.adjacent.retrieving.high < scheduled.retest.retrieving.low
    noise = torch.rand(60, 20, N_LAYERS, N_HEADS, generator=generator) < 0.3
    null = dynamism_table(list(noise[:30]), {}, list(zip(noise[:30], noise[30:], strict=True)))
    assert null.retest.retrieving.low < null.adjacent.retrieving.high
    assert null.adjacent.retrieving.low < null.retest.retrieving.high


def test_shuffled_steps_leave_static_jaccard_and_entropy_alone():
    samples = random_samples(21)
    shuffled = [sample[torch.randperm(len(sample))] for sample in samples]
    static = HeadSet.of([(0, 0), (2, 1)], N_LAYERS, N_HEADS)
    assert static_jaccard(samples, static).retrieving.estimate == pytest.approx(static_jaccard(shuffled, static).retrieving.estimate)
    assert head_entropy(samples).entropy.estimate == pytest.approx(head_entropy(shuffled).entropy.estimate)


def test_a_step_without_heads_parts_its_neighbours():
    one, none = torch.ones(1, 1, 2, dtype=torch.bool), torch.zeros(1, 1, 2, dtype=torch.bool)
    jaccard = adjacent_jaccard([torch.cat([one, none, none, one, one])])
    assert (jaccard.n_retrieving, jaccard.n_defined, jaccard.n_undefined) == (1, 3, 1)
    assert jaccard.retrieving.estimate == 1.0
    assert jaccard.all_steps.estimate == pytest.approx(1 / 3)


def test_no_retrieving_step_gives_nan_not_zero():
    empty = [torch.zeros(4, N_LAYERS, N_HEADS, dtype=torch.bool)] * 3
    table = dynamism_table(empty, {"top 1": HeadSet.of([(0, 0)], N_LAYERS, N_HEADS)})
    for interval in (table.adjacent.retrieving, table.static["top 1"].retrieving, table.per_step.mean, table.adjacent.all_steps):
        assert math.isnan(interval.estimate)
        assert interval.n == 0
    assert math.isnan(table.entropy.entropy.estimate)
    assert math.isnan(table.entropy.raw.estimate)
    assert math.isnan(table.per_step.sd)
    assert table.static["top 1"].all_steps.estimate == 0.0
    assert table.adjacent.n_undefined == 9
    assert (table.n_samples, table.n_retrieving_samples, table.n_steps, table.n_retrieving_steps) == (3, 0, 12, 0)
    assert table.retest is None


def test_an_empty_static_list_is_undefined_where_nothing_retrieves():
    active = torch.zeros(3, N_LAYERS, N_HEADS, dtype=torch.bool)
    active[0, 0, 0] = True
    jaccard = static_jaccard([active], HeadSet.of([], N_LAYERS, N_HEADS))
    assert (jaccard.retrieving.estimate, jaccard.n_retrieving, jaccard.n_undefined) == (0.0, 1, 2)


def test_one_sample_has_an_estimate_but_no_bounds():
    table = dynamism_table([torch.ones(3, N_LAYERS, N_HEADS, dtype=torch.bool)], {})
    for interval in (table.adjacent.retrieving, table.entropy.entropy, table.per_step.mean):
        assert not math.isnan(interval.estimate)
        assert math.isnan(interval.low)
        assert math.isnan(interval.high)
        assert interval.n == 1


def test_samples_of_no_and_of_one_step():
    samples = [torch.ones(n, N_LAYERS, N_HEADS, dtype=torch.bool) for n in (0, 1)]
    assert adjacent_jaccard(samples).n_defined == 0
    assert heads_per_step(samples).mean.estimate == N_LAYERS * N_HEADS


def test_retest_of_traces_stops_where_the_tokens_part():
    active = torch.ones(4, N_LAYERS, N_HEADS, dtype=torch.bool)
    first, second = trace_of(active, [5, 6, 7, 8]), trace_of(active[:3], [5, 6, 9])
    assert retest_jaccard([(first, second)]).n_defined == 2
    assert retest_jaccard([(first, trace_of(active, [1, 6, 7, 8]))]).n_defined == 0


def test_traces_and_arrays_give_the_same_table():
    samples = random_samples(31)
    assert dynamism_table([trace_of(sample) for sample in samples], {}) == dynamism_table(samples, {})


def test_static_ranking_pools_over_steps_and_breaks_ties_by_position():
    long, short = torch.zeros(3, 2, 2), torch.zeros(1, 2, 2)
    long[:, 1, 0] = 1.0
    long[:2, 0, 1] = 1.0
    short[0, 0, 0] = 1.0
    ranking = static_ranking([trace_of(long), trace_of(short)])
    assert [tuple(head) for head in ranking.heads] == [(1, 0), (0, 1), (0, 0), (1, 1)]
    assert ranking.scores == pytest.approx((0.75, 0.5, 0.25, 0.0))
    tied = static_ranking([trace_of(torch.ones(2, 2, 2))])
    assert [tuple(head) for head in tied.heads] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_static_ranking_recovers_planted_heads():
    generator = torch.Generator().manual_seed(3)
    often = HeadSet.of([(0, 2), (1, 1), (2, 3)], N_LAYERS, N_HEADS)
    rate = torch.where(often.mask(), 0.6, 0.1)
    traces = [trace_of((torch.rand(20, N_LAYERS, N_HEADS, generator=generator) < rate).float()) for _ in range(20)]
    assert static_ranking(traces).top(3) == often


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: adjacent_jaccard([]), "at least one sample, got none"),
        (lambda: retest_jaccard([]), "at least one sample, got none"),
        (lambda: static_ranking([]), "at least one step, got 0 traces"),
        (lambda: static_ranking([trace_of(torch.zeros(0, 2, 2))]), "at least one step, got 1 traces"),
        (lambda: static_ranking([trace_of(torch.zeros(1, 2, 2)), trace_of(torch.zeros(1, 3, 2))]), "must come from one model"),
        (
            lambda: head_entropy([torch.ones(1, 2, 2) > 0, torch.ones(1, 3, 2) > 0]),
            r"must come from one model, got layers x heads of \[\(2, 2\)",
        ),
        (
            lambda: static_jaccard([torch.ones(1, 2, 2) > 0], HeadSet.of([], 4, 4)),
            "the heads are of a model of 4 layers x 4 heads, this one has 2 x 2",
        ),
        (lambda: retest_jaccard([(torch.ones(1, 2, 2) > 0, torch.ones(2, 2, 2) > 0)]), "the same steps, got 1 and 2"),
    ],
)
def test_errors_say_what_came(call, message):
    with pytest.raises(InputError, match=message):
        call()
