"""Where rows stand among the prompts that they share."""

import random

import pytest
import torch

from mechdyn.decoding.memory import Grid, Memory, Prompts


@pytest.mark.parametrize("seed", range(10))
def test_what_is_laid_is_taken_back(seed):
    rng = random.Random(seed)
    n_prompts = rng.randint(1, 4)
    of_row = [rng.randrange(n_prompts) for _ in range(rng.randint(1, 9))]
    grid = Grid.of(of_row, n_prompts)
    rows = torch.randn(len(of_row), 2, 3, 5)
    laid = grid.lay(rows)
    assert laid.shape[:2] == (n_prompts, 2)
    assert torch.equal(grid.take(laid), rows)
    for row, prompt in enumerate(of_row):
        assert any(torch.equal(rows[row], laid[prompt, :, start : start + 3]) for start in range(0, laid.shape[2], 3))


@pytest.mark.parametrize("of_row", [[0, 1, 2], [0, 0, 1, 1], [0]])
def test_the_usual_batches_fill_their_grid(of_row):
    assert Grid.of(of_row, max(of_row) + 1).full


def some_memory(n_prompts):
    keys, values = ((torch.randn(n_prompts, 2, 6, 4),) for _ in range(2))
    return Memory.after(Prompts(keys, values, None, 6), n_prompts)


def test_a_fork_shares_its_prompts_and_drops_what_it_can():
    memory = some_memory(5)
    (keys,) = memory.prompts.keys
    repeated = memory.fork([0, 1, 2, 3, 4, 4])
    assert repeated.prompts.keys[0].data_ptr() == keys.data_ptr()
    ended = memory.fork([1, 3, 2])
    assert ended.prompts.keys[0].data_ptr() == keys[1].data_ptr(), "the ends are dropped without a copy"
    assert ended.grid.prompts == [0, 2, 1]
    sparse = memory.fork([4, 0])
    assert torch.equal(sparse.prompts.keys[0], keys[[0, 4]]), "few that lie apart are copied together"
    assert sparse.grid.prompts == [1, 0]


def test_a_gap_that_is_not_worth_a_copy_stays():
    memory = some_memory(4)
    gapped = memory.fork([0, 2, 3])
    assert gapped.prompts.keys[0].data_ptr() == memory.prompts.keys[0].data_ptr()
    assert gapped.grid.prompts == [0, 2, 3]
    assert gapped.fork([1]).prompts.keys[0].shape[0] == 1
