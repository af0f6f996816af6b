"""Which keys are seen, against loops over positions."""

import random

import pytest
import torch

from mechdyn.models.windows import ChunkView, visible_keys, widest_gaps


def random_rows(seed):
    """Position ids with gaps, and padding before, between and behind nothing: as prefill lays rows out."""
    rng = random.Random(seed)
    width, rows = rng.randint(6, 40), []
    for _ in range(rng.randint(1, 3)):
        shown = [rng.random() < 0.8 for _ in range(width - 1)] + [True]
        position, positions = -1, []
        for seen in shown:
            position += rng.choice([1, 1, 1, 3]) if seen else 0
            positions.append(max(position, 0))
        rows.append((shown, positions))
    return torch.tensor([shown for shown, _ in rows]), torch.tensor([positions for _, positions in rows]), rng


def seen_by_loops(shown, positions, query, window):
    """Of one row: the keys up to the query that are shown and whose position is within the window."""
    at = positions[query]
    return [shown[key] and key <= query and (window is None or at - positions[key] < window) for key in range(len(shown))]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("window", [None, 1, 5, 16])
def test_a_query_sees_what_is_shown_and_near(seed, window):
    shown, positions, _ = random_rows(seed)
    seen = visible_keys(shown, positions, positions, window)
    for row, (is_shown, places) in enumerate(zip(shown.tolist(), positions.tolist(), strict=True)):
        for query, itself in enumerate(is_shown):
            if itself:
                assert seen[row, query].tolist() == seen_by_loops(is_shown, places, query, window)


@pytest.mark.parametrize("seed", range(20))
def test_a_block_of_a_chunk_leaves_out_only_what_none_of_it_sees(seed):
    shown, positions, rng = random_rows(seed)
    width = shown.shape[1]
    n_queries, window = rng.randint(1, width), rng.choice([1, 4, 9])
    n_held = min(width, n_queries + window + widest_gaps(shown))
    start = rng.randrange(n_queries)
    end = rng.randint(start + 1, n_queries)
    view = ChunkView((window,), shown, positions, n_queries)
    first, mask = view.block(window, n_held, torch.zeros(1), start, end)
    whole = visible_keys(shown, positions, positions[:, width - n_queries :], window)[:, start:end]
    begin, stop = width - n_held + first, width - n_queries + end
    rows_shown = shown[:, width - n_queries + start : stop]
    assert torch.equal((mask[:, 0] == 0).expand(len(shown), -1, -1)[rows_shown], whole[:, :, begin:stop][rows_shown])
    assert not whole[:, :, :begin][rows_shown].any() and not whole[:, :, stop:][rows_shown].any()


def test_the_gaps_that_count_lie_behind_a_rows_first_token():
    shown = torch.tensor([[0, 0, 1, 1], [1, 0, 0, 1], [1, 0, 1, 1]]).bool()
    assert widest_gaps(shown) == 2
    assert widest_gaps(shown[:1]) == 0
    assert widest_gaps(shown[:, :0]) == 0
