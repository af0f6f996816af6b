"""The positions that a head keeps, against SnapKV by loops over plain eager attention."""

import secrets

import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.improve.budgets.allocation import Allotment
from mechdyn.improve.budgets.positions import by_group, kept, places, pooled_attention, to_heads, union, window_rows
from mechdyn.models.load import wrap_model
from tests.architectures import tiny_model
from tests.bundled import mini_tokenizer


def by_hand(rows, budget, window, kernel):
    """The positions that one head keeps: `rows` are the window's rows over the whole prompt."""
    n = rows.shape[1] - window
    mean = rows.double().mean(dim=0)[:n].tolist()
    pooled = [max(mean[max(0, j - kernel // 2) : j + kernel // 2 + 1]) for j in range(n)]
    best = sorted(range(n), key=lambda j: (-pooled[j], j))[:budget]
    return {*best, *range(n, rows.shape[1])}


@pytest.mark.parametrize("style", ["llama2", "llama3.1"])
def test_heads_keep_what_the_last_rows_attend_to(style):
    plain = tiny_model(style, seed=2)
    plain.set_attn_implementation("eager")
    model = wrap_model(tiny_model(style, seed=2), mini_tokenizer(), name=style)
    seed = secrets.randbits(32)
    draws = torch.Generator().manual_seed(seed)
    tokens = torch.randint(6, 2000, (50,), generator=draws)
    with torch.no_grad():
        attention = torch.stack([rows[0, :, -8:] for rows in plain(tokens[None], output_attentions=True).attentions])
    rows = window_rows(model, tokens, 8)
    assert torch.allclose(rows, attention, atol=1e-5), seed
    for how in (Allotment(20), Allotment(9, window=3, kernel=5), Allotment(12, window=4, kernel=1)):
        budget = torch.randint(0, 30, (3, 8), generator=draws)
        seen = kept(places(pooled_attention(rows, how)), budget, how.window)
        for layer in range(3):
            for head in range(8):
                wanted = by_hand(rows[layer, head, -how.window :], int(budget[layer, head]), how.window, how.kernel)
                assert set(seen[layer, head].nonzero().flatten().tolist()) == wanted, seed


def test_heads_that_share_keys_hold_their_union():
    seen = torch.rand(2, 6, 9, generator=torch.Generator().manual_seed(1)) < 0.4
    together = union(seen, 3)
    for layer in range(2):
        for head in range(3):
            assert torch.equal(together[layer, head], seen[layer, 2 * head] | seen[layer, 2 * head + 1])
    assert torch.equal(union(seen, 6), seen)
    assert torch.equal(union(to_heads(together, 6), 3), together)
    scores = torch.arange(12.0).reshape(2, 6)
    assert by_group(scores, 3, "max").tolist() == [[1, 3, 5], [7, 9, 11]]
    assert by_group(scores, 3, "mean").tolist() == [[0.5, 2.5, 4.5], [6.5, 8.5, 10.5]]


def test_ties_go_to_the_earlier_position():
    assert places(torch.tensor([[[0.2, 0.5, 0.5, 0.2]]])).tolist() == [[[2, 0, 1, 3]]]


def test_a_window_longer_than_the_prompt_is_refused():
    model = wrap_model(tiny_model("llama3.1"), mini_tokenizer(), name="tiny")
    with pytest.raises(InputError, match="it has 4 tokens"):
        window_rows(model, torch.arange(6, 10), 8)
