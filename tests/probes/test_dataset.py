"""Pairs come from one generation, parts share no sample, and what cannot be split is said."""

import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.probes.dataset import fold_data, probe_data, split_samples
from tests.probes.made_up import D_MODEL, HEADS, LAYERS, MODEL, random_traces, trace_of


def pairs_by_hand(traces, offset):
    """(hidden, target, previous, step) of every pair, as tuples."""
    pairs = []
    for trace in traces:
        scores = trace.retrieval_scores
        for step in range(trace.n_steps - offset):
            before = step if offset else step - 1
            previous = scores[before] if before >= 0 else torch.full_like(scores[0], torch.nan)
            pairs.append((trace.hidden[step], scores[step + offset].flatten(), previous.flatten(), step))
    return pairs


@pytest.mark.parametrize("offset", [0, 1, 3])
@pytest.mark.parametrize("binary", [True, False])
def test_rows_are_the_pairs_of_each_generation(offset, binary):
    traces = random_traces(binary=binary)
    data = probe_data(traces, offset, binary=binary)
    expected = {tuple(hidden.tolist()): rest for hidden, *rest in pairs_by_hand(traces, offset)}
    rows = [(part, row) for part in (data.train, data.validation, data.test) for row in range(len(part))]
    assert len(rows) == len(expected)
    for part, row in rows:
        target, previous, step = expected[tuple(part.hidden[row].tolist())]
        assert torch.equal(part.target[row], target)
        assert torch.equal(part.previous[row].nan_to_num(-1), previous.nan_to_num(-1))
        assert part.step[row] == step


def test_binary_targets_are_scores_above_the_threshold():
    traces = random_traces(binary=False, threshold=0.6)
    data = probe_data(traces)
    raw = probe_data(traces, binary=False)
    assert torch.equal(data.train.target, (raw.train.target > 0.6).float())


def test_parts_share_no_sample_are_70_20_10_and_are_the_same_at_every_offset_and_order():
    names = {f"s{index}": index for index in range(50)}
    parts = split_samples(names, seed=3)
    assert [len(part) for part in parts] == [35, 10, 5]
    assert sorted(name for part in parts for name in part) == sorted(names)
    assert split_samples(dict(reversed(names.items())), seed=3) == parts
    assert split_samples(names, seed=4) != parts
    traces = random_traces(30)
    first, later = probe_data(traces), probe_data(traces[::-1], 2)
    held = {tuple(row.tolist()) for row in first.test.hidden}
    assert {tuple(row.tolist()) for row in later.test.hidden} < held
    assert first.test.n_samples == 3 and first.test.sample.unique().tolist() == [0, 1, 2]


def test_samples_of_one_needle_are_in_one_part_and_in_one_fold():
    needles = {f"s{index}": index // 3 for index in range(60)}
    parts = [{needles[name] for name in part} for part in split_samples(needles, seed=3)]
    assert [len(part) for part in parts] == [14, 4, 2] and len(set.union(*parts)) == 20
    drawn = random_traces(60)
    traces = [trace_of(trace.sample, trace.retrieval_scores, trace.hidden, needle=str(needles[trace.sample])) for trace in drawn]
    seeds = {tuple(row.tolist()): needles[trace.sample] for trace in traces for row in trace.hidden}
    for fold in fold_data(traces, 1, n_folds=5):
        tested, validated, trained = (
            {seeds[tuple(row.tolist())] for row in part.hidden} for part in (fold.test, fold.validation, fold.train)
        )
        assert len(tested) == 4 and not tested & (validated | trained)


def test_all_traces_of_a_sample_fall_into_one_part():
    numbered = [
        trace_of(trace.sample, trace.retrieval_scores, torch.full_like(trace.hidden, index % 20), unit=f"unit {index}")
        for index, trace in enumerate(random_traces(20) + random_traces(20, seed=1))
    ]
    data = probe_data(numbered)
    seen = [set(part.hidden[:, 0].tolist()) for part in (data.train, data.validation, data.test)]
    assert [len(samples) for samples in seen] == [14, 4, 2] == [part.n_samples for part in (data.train, data.validation, data.test)]
    assert set.union(*seen) == set(range(20))


def test_samples_without_a_step_so_far_ahead_are_left_out_and_counted():
    data = probe_data(random_traces(60, n_steps=4), 5)
    assert data.n_short == 40
    assert (data.n_layers, data.n_heads, data.d_model, data.offset) == (LAYERS, HEADS, D_MODEL, 5)
    assert data.model == MODEL


def test_bad_input_is_one_line():
    traces = random_traces(30)
    with pytest.raises(InputError, match="offset 8 is beyond every sample's length, the longest has 8 steps"):
        probe_data(traces, 8)
    with pytest.raises(InputError, match="offset is 0 or more"):
        probe_data(traces, -1)
    with pytest.raises(InputError, match=r"at least one sample in every part, 4 samples .* 3 training, 1 validation, 0 test"):
        probe_data(traces[:4])
    with pytest.raises(InputError, match="needs traces, got none"):
        probe_data([])
    constant = [trace_of(trace.sample, torch.zeros_like(trace.retrieval_scores), trace.hidden) for trace in traces]
    with pytest.raises(InputError, match=r"scores are constant at all \d+ training steps for every head"):
        probe_data(constant)
    stranger = trace_of("other", traces[0].retrieval_scores, traces[0].hidden, model={"name": "another"})
    with pytest.raises(InputError, match="traces of one model, trace unit other is of another"):
        probe_data([*traces, stranger])
    broken = trace_of("broken", traces[0].retrieval_scores, traces[0].hidden / 0)
    with pytest.raises(InputError, match="trace unit broken holds NaN or infinite values"):
        probe_data([*traces, broken])
