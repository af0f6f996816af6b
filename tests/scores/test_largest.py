"""Where the largest number of a row stands."""

import pytest
import torch

from mechdyn.scores.largest import first_largest


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("n_keys", [1, 100, 2049])
def test_it_is_the_first_maximum(n_keys, dtype):
    """Few distinct values, so that ties abound; read through a view, as rows with room behind them are."""
    pattern = torch.randint(0, 3, (2, 5, n_keys + 3), generator=torch.Generator().manual_seed(n_keys)).to(dtype)[..., :n_keys]
    pattern[0, 0] = 0.0
    pattern[0, 1, -1] = 9.0
    pattern[1, 1, n_keys // 2 :] = 7.0
    expected = [[row.tolist().index(max(row.tolist())) for row in heads] for heads in pattern]
    assert first_largest(pattern).tolist() == expected


def test_a_row_that_is_not_a_number_is_told_as_torch_tells_it():
    values = torch.tensor([[1.0, float("nan"), float("inf"), float("nan")], [float("-inf"), float("inf"), 3.0, float("inf")]])
    assert first_largest(values).tolist() == values.argmax(dim=-1).tolist() == [1, 1]
