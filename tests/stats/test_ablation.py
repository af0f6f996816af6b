"""Statistics of ablated traces against loops over sets of heads."""

import math

import numpy as np
import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.heads import HeadSet
from mechdyn.stats.ablation import average_size, compensated_heads, heads_ablated, mean_compensated, share_retrieving
from mechdyn.traces.trace import Trace

LAYERS, HEADS = 3, 5


def random_trace(n_steps, seed, threshold=0.0, ablated=True):
    generator = torch.Generator().manual_seed(seed)

    def scores():
        drawn = torch.rand(n_steps, LAYERS, HEADS, generator=generator)
        return drawn if threshold else (drawn < 0.3).float()

    return Trace(
        unit=str(seed),
        sample=str(seed),
        task="niah",
        question="?",
        answer="!",
        prompt_tokens=torch.arange(4),
        needle_positions=torch.arange(2),
        tokens=torch.arange(n_steps),
        token_texts=("x",) * n_steps,
        text="x" * n_steps,
        retrieval_scores=scores(),
        hidden=torch.zeros(n_steps, 2),
        threshold=threshold,
        ablated=torch.rand(n_steps, LAYERS, HEADS, generator=generator) < 0.2 if ablated else None,
        ablated_scores=scores() if ablated else None,
    )


def random_heads(seed, k=6):
    drawn = np.random.default_rng(seed).permutation(LAYERS * HEADS)[:k]
    return HeadSet.of([divmod(int(index), HEADS) for index in drawn], LAYERS, HEADS)


def most_compensated(trace, static):
    """A.2 word for word: E = H' - H at each step, the largest overlap with the static set."""
    overlaps = []
    for before, after in zip(trace.retrieval_scores.tolist(), trace.ablated_scores.tolist(), strict=True):
        h = {(layer, head) for layer, row in enumerate(before) for head, score in enumerate(row) if score > trace.threshold}
        h_after = {(layer, head) for layer, row in enumerate(after) for head, score in enumerate(row) if score > trace.threshold}
        overlaps.append(len((h_after - h) & {tuple(head) for head in static}))
    return max(overlaps)


@pytest.mark.parametrize("threshold", [0.0, 0.5])
@pytest.mark.parametrize("seed", range(5))
def test_compensated_heads_equal_a_loop_over_sets(seed, threshold):
    traces = [random_trace(n_steps, 10 * seed + n_steps, threshold) for n_steps in (1, 4, 9)]
    static = random_heads(seed)
    expected = [most_compensated(trace, static) for trace in traces]
    assert [compensated_heads(trace, static) for trace in traces] == expected
    interval = mean_compensated(traces, static)
    assert interval.estimate == pytest.approx(sum(expected) / 3)
    assert min(expected) <= interval.low <= interval.high <= max(expected)


def test_nothing_is_compensated_without_ablation():
    assert compensated_heads(random_trace(5, 1, ablated=False), random_heads(1)) == 0.0


def test_a_trace_without_steps_has_no_say():
    static, empty, full = random_heads(2), random_trace(0, 1), random_trace(6, 2)
    assert math.isnan(compensated_heads(empty, static))
    interval = mean_compensated([empty, full, full], static)
    assert interval.n == 2
    assert interval.estimate == most_compensated(full, static)
    assert mean_compensated([empty], static).n == 0


def test_copies_of_a_trace_in_one_cluster_tell_nothing_new():
    static = random_heads(4)
    once = [random_trace(5, seed) for seed in range(8)]
    one, copies = mean_compensated(once, static), mean_compensated(once * 3, static, list(range(8)) * 3)
    assert (copies.low, copies.high) == pytest.approx((one.low, one.high)) and copies.method == "cluster BCa bootstrap"
    assert mean_compensated(once * 3, static).low > one.low


def test_a_static_list_of_another_model_is_refused():
    with pytest.raises(InputError, match="the heads are of a model of 2 layers x 5 heads, this one has 3 x 5"):
        compensated_heads(random_trace(3, 0), HeadSet.of([(0, 1)], 2, HEADS))


@pytest.mark.parametrize("seed", range(3))
def test_average_size_counts_every_step(seed):
    traces = [random_trace(n_steps, seed + n_steps) for n_steps in (3, 11, 2)]
    sizes = [int(step.sum()) for trace in traces for step in trace.active]
    assert average_size(traces) == max(1, round(sum(sizes) / len(sizes)))


def test_average_size_is_at_least_one_and_needs_a_step():
    silent = random_trace(4, 0)
    silent.retrieval_scores.zero_()
    assert average_size([silent]) == 1
    with pytest.raises(InputError, match="needs traces with at least one step, got 1 traces"):
        average_size([random_trace(0, 0)])


def test_heads_ablated_is_pooled_over_steps():
    traces = [random_trace(n_steps, n_steps) for n_steps in (2, 7)]
    interval = heads_ablated([[trace] for trace in traces])
    assert interval.estimate == pytest.approx(sum(int(trace.ablated.sum()) for trace in traces) / 9)
    assert heads_ablated([[random_trace(3, 1, ablated=False)]]).estimate == 0.0
    assert heads_ablated([[random_trace(0, 1)]]).n == 0


def test_draws_of_a_sample_are_one_sample():
    draws = [random_trace(5, seed) for seed in range(6)]
    found = heads_ablated([draws[:3], draws[3:]])
    assert found.n == 2
    assert found.estimate == pytest.approx(sum(int(trace.ablated.sum()) for trace in draws) / 30)


def test_the_share_of_heads_off_that_retrieve_is_counted():
    groups = [[random_trace(6, 2 * seed), random_trace(4, 2 * seed + 1)] for seed in range(8)]
    found = share_retrieving(groups)
    both = sum(int((trace.ablated & trace.active).sum()) for draws in groups for trace in draws)
    assert found.estimate == pytest.approx(both / sum(int(trace.ablated.sum()) for draws in groups for trace in draws))
    assert found.low < found.estimate < found.high and found.n == 8
    assert share_retrieving([[random_trace(3, 1, ablated=False)]]).n == 0
