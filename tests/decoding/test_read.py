"""Rows of a prompt's own positions equal those of plain Hugging Face eager attention, whatever the chunks, and are never held together."""

import copy

import pytest
import torch

from mechdyn.decoding.prefill import prefill
from mechdyn.decoding.read import mean_rows, read_rows
from mechdyn.errors import InputError
from mechdyn.models.load import wrap_model
from tests.architectures import tiny_model
from tests.bundled import mini_tokenizer

LENGTH = 50
TOKENS = torch.randint(6, 2000, (LENGTH,), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module", params=["llama3.1", "llama2", "gemma3", "gpt-oss"])
def pair(request):
    """The model and its whole eager attention, layer head query key."""
    plain = tiny_model(request.param, seed=3)
    wrapped = wrap_model(copy.deepcopy(plain), mini_tokenizer(), name=request.param)
    plain.set_attn_implementation("eager")
    with torch.no_grad():
        return wrapped, torch.stack(plain(TOKENS[None], output_attentions=True).attentions)[:, 0]


@pytest.mark.parametrize("chunk", [1, 7, 64])
@pytest.mark.parametrize("n_held", [None, 0, 10, 20])
def test_rows_are_those_of_eager_attention(pair, chunk, n_held):
    model, wanted = pair
    queries = torch.tensor([20, 21, 25, 33, 49])
    found = torch.full_like(wanted, float("nan"))
    largest = 0

    def take(layer, asked, rows):
        nonlocal largest
        largest = max(largest, rows.shape[1])
        found[layer][:, asked, : rows.shape[-1]] = rows
        found[layer][:, asked, rows.shape[-1] :] = 0.0

    read_rows(model, TOKENS, queries, take, held=None if n_held is None else prefill(model, [TOKENS[:n_held]]), chunk=chunk)
    torch.testing.assert_close(found[:, :, queries], wanted[:, :, queries], atol=2e-6, rtol=0)
    assert found[:, :, 22].isnan().all()
    assert largest <= chunk


def test_the_mean_row_is_over_the_positions_to_the_end(pair):
    model, wanted = pair
    torch.testing.assert_close(mean_rows(model, TOKENS, 30, 12), wanted[:, :, 30:, :12].mean(dim=2), atol=2e-6, rtol=0)


@pytest.mark.parametrize("queries", [[], [3, 2], [-1], [LENGTH], [4, 4]])
def test_positions_outside_the_prompt_are_one_line(pair, queries):
    with pytest.raises(InputError, match=r"positions ascend from 0 to 49 \(the prompt has 50 tokens\), got"):
        read_rows(pair[0], TOKENS, torch.tensor(queries, dtype=torch.long), lambda *_: None)


def test_what_is_held_ends_before_the_first_position(pair):
    with pytest.raises(InputError, match="what is held must be one prompt of at most 5 tokens"):
        read_rows(pair[0], TOKENS, torch.tensor([5]), lambda *_: None, held=prefill(pair[0], [TOKENS[:6]]))
