"""Windows against a computation by brute force over all positions."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mechdyn.errors import InputError
from mechdyn.heads import HeadSet
from mechdyn.rag.windows import average_attention, choose_windows, cluster, expand, merge, strongest, top_positions

SCORES = st.lists(st.integers(0, 6), min_size=1, max_size=60).map(lambda values: torch.tensor(values, dtype=torch.float32))


def visible(spans):
    return {position for start, end in spans for position in range(start, end)}


def brute_force(scores, k, join, radius):
    """Every shown position, by asking of each whether any cluster's representative is near."""
    values = scores.tolist()
    ranked = sorted(range(len(values)), key=lambda position: (-values[position], position))[:k]
    home = {position: position for position in ranked}
    for _ in ranked:  # clusters as connected components: names spread until nothing changes
        for one in ranked:
            for other in ranked:
                if abs(one - other) < join:
                    home[one] = home[other] = min(home[one], home[other])
    members = [[position for position in ranked if home[position] == name] for name in sorted(set(home.values()))]
    stand = [min(group, key=lambda position: (-values[position], position)) for group in members]
    return {position for position in range(len(values)) if any(abs(position - centre) <= radius for centre in stand)}


@settings(deadline=None, max_examples=300)
@given(scores=SCORES, k=st.integers(1, 70), join=st.integers(1, 12), radius=st.integers(0, 15))
def test_windows_show_what_brute_force_shows(scores, k, join, radius):
    chosen = choose_windows(scores, k=k, join=join, radius=radius)
    assert visible(chosen) == brute_force(scores, k, join, radius)
    assert all(0 <= start < end <= len(scores) for start, end in chosen)
    assert all(end < start for (_, end), (start, _) in pairwise(chosen)), "ascending, apart, not even touching"


@settings(deadline=None)
@given(scores=SCORES, k=st.integers(1, 70))
def test_the_strongest_positions_are_taken_ties_to_the_lowest(scores, k):
    found = top_positions(scores, k)
    values = scores.tolist()
    assert list(found) == sorted(sorted(range(len(values)), key=lambda position: (-values[position], position))[:k])


@settings(deadline=None)
@given(spans=st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)).map(lambda pair: (pair[0], sum(pair))), max_size=8))
def test_merging_shows_the_same_and_overlaps_nowhere(spans):
    merged = merge(spans)
    assert visible(merged) == visible(spans)
    assert sum(end - start for start, end in merged) == len(visible(spans))
    assert merge(merged) == merged


def test_clusters_join_below_the_distance_and_not_at_it():
    assert cluster((0, 7, 14, 22), 8) == ((0, 7, 14), (22,))
    assert cluster((), 8) == ()


def test_a_cluster_stands_at_its_most_attended_position():
    assert strongest((2, 4, 6), torch.tensor([9.0, 9, 1, 9, 3, 9, 3])) == 4


def test_windows_are_clipped_to_the_context():
    assert expand(0, 3, 10) == (0, 4)
    assert expand(9, 3, 10) == (6, 10)
    assert expand(5, 0, 10) == (5, 6)


def test_attention_is_averaged_over_the_chosen_heads_alone():
    attention = torch.rand(3, 4, 11)
    mean = average_attention(attention, HeadSet.of([(0, 1), (2, 3)], 3, 4))
    torch.testing.assert_close(mean, (attention[0, 1] + attention[2, 3]) / 2)
    with pytest.raises(InputError, match="chosen heads, got none"):
        average_attention(attention, HeadSet.of([], 3, 4))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": 0}, "k is a number of context positions, at least 1, got 0"),
        ({"join": 0}, "join is at least 1, got 0"),
        ({"radius": -1}, "0 or more tokens to either side, got -1"),
        ({"scores": torch.zeros(0)}, "the context has no token"),
        ({"scores": torch.tensor([float("nan")])}, "NaN or infinite"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(changes, message):
    arguments = {"scores": torch.rand(9), "k": 3, "join": 2, "radius": 2} | changes
    with pytest.raises(InputError, match=message):
        choose_windows(arguments.pop("scores"), **arguments)
