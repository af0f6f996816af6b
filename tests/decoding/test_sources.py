"""The strongest sources of random rows, ties among them, against a full sort."""

import pytest
import torch

from mechdyn.decoding.sources import as_sources, strongest


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_sources_are_the_first_of_a_stable_sort(seed: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(seed)
    # A few distinct weights, so that ties are everywhere.
    patterns = [(torch.randint(0, 6, (2, 3, 50), generator=generator) / 7).to(dtype) for _ in range(2)]
    visible = torch.rand(50, generator=generator) < 0.8
    positions, weights = strongest(patterns, 1, visible, 8)
    for layer, pattern in enumerate(patterns):
        rows = pattern[1][:, visible].float()
        order = torch.argsort(rows, dim=1, descending=True, stable=True)[:, :8]
        assert torch.equal(positions[layer].long(), order)
        assert torch.equal(weights[layer], rows.gather(1, order).half())


def test_a_row_of_few_keys_ends_in_positions_that_are_none() -> None:
    positions, weights = strongest([torch.tensor([[[0.25, 0.75]]])], 0, torch.tensor([True, True]), 4)
    assert positions.tolist() == [[[1, 0, -1, -1]]]
    assert weights.tolist() == [[[0.75, 0.25, 0.0, 0.0]]]


def test_steps_are_stacked_and_none_gives_none() -> None:
    step = strongest([torch.rand(1, 2, 9)], 0, torch.ones(9, dtype=torch.bool), 3)
    found = as_sources([step, step])
    assert found is not None and found.positions.shape == (2, 1, 2, 3) and found.n_ranks == 3
    assert as_sources([]) is None
