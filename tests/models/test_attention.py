"""The prefill attention against explicit softmax over an explicit mask."""

import pytest
import torch
from transformers.masking_utils import causal_mask_function

from mechdyn.models import attention as module
from mechdyn.models.attention import Weighing, additive_mask, block_attention, chunk_attention


@pytest.mark.parametrize("n_kv_heads", [1, 2, 8])
@pytest.mark.parametrize(("n_past", "n_chunk"), [(1, 2), (5, 64), (300, 17), (700, 300)])
def test_a_chunk_attends_to_its_past_and_causally_to_itself(n_kv_heads, n_past, n_chunk):
    generator = torch.Generator().manual_seed(n_past)
    query = 3 * torch.randn(2, 8, n_chunk, 12, generator=generator)
    key, value = torch.randn(2, 2, n_kv_heads, n_past + n_chunk, 12, generator=generator)
    repeated = key.repeat_interleave(8 // n_kv_heads, dim=1)
    hidden = torch.ones(n_chunk, n_past + n_chunk).triu(n_past + 1).bool()
    pattern = (query @ repeated.mT * 0.3).masked_fill(hidden, -torch.inf).softmax(dim=-1)
    expected = pattern @ value.repeat_interleave(8 // n_kv_heads, dim=1)
    torch.testing.assert_close(chunk_attention(query, key, value, 0.3), expected, atol=1e-5, rtol=0)


def test_values_of_another_width_are_attended_to_as_well():
    query, key, value = torch.randn(1, 4, 6, 8), torch.randn(1, 4, 16, 8), torch.randn(1, 4, 16, 5)
    hidden = torch.ones(6, 16).triu(11).bool()
    expected = (query @ key.mT).masked_fill(hidden, -torch.inf).softmax(dim=-1) @ value
    torch.testing.assert_close(chunk_attention(query, key, value, 1.0), expected, atol=1e-5, rtol=0)


def test_only_padding_needs_a_mask():
    sizes = {"batch_size": 2, "q_length": 3, "kv_length": 5, "q_offset": 2, "mask_function": causal_mask_function, "dtype": torch.float32}
    assert additive_mask(**sizes) is None
    visible = torch.tensor([[0, 1, 1, 1, 1], [1, 1, 1, 1, 1]]).bool()
    mask = additive_mask(**sizes, attention_mask=visible, device="cpu")
    allowed = torch.ones(3, 5).tril(2).bool() & visible[:, None]
    assert torch.equal(mask[:, 0] == 0, allowed)
    assert mask.isfinite().all()


@pytest.mark.parametrize("softcap", [None, 1.5])
@pytest.mark.parametrize("has_sinks", [False, True])
@pytest.mark.parametrize("n_kv_heads", [2, 8])
def test_blocks_are_softmax_of_capped_scores_beside_a_sink(softcap, has_sinks, n_kv_heads, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 6)
    generator = torch.Generator().manual_seed(1)
    query = 3 * torch.randn(2, 8, 20, 12, generator=generator)
    key, value = torch.randn(2, 2, n_kv_heads, 50, 12, generator=generator)
    sinks = torch.randn(8, generator=generator) if has_sinks else None
    hidden = torch.rand(2, 1, 20, 50, generator=generator) < 0.3
    hidden |= torch.ones(20, 50).triu(31).bool()
    mask = torch.zeros(hidden.shape).masked_fill(hidden, torch.finfo(torch.float32).min)
    scores = query @ key.repeat_interleave(8 // n_kv_heads, dim=1).mT * 0.3
    scores = scores if softcap is None else softcap * (scores / softcap).tanh()
    mass = scores.double().masked_fill(hidden, -torch.inf).exp()
    below = mass.sum(dim=-1, keepdim=True) + (0.0 if sinks is None else sinks.double().exp()[:, None, None])
    expected = (mass / below).float() @ value.repeat_interleave(8 // n_kv_heads, dim=1)

    def see(start, end):
        return 0, mask[:, :, start:end, : 30 + end]

    found = block_attention(query, key, value, Weighing(0.3, softcap, sinks), see)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
