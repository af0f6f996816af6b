"""Arithmetic against brute force: FLOPs as torch counts them, keys and values as a cache holds them."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, DynamicCache

from mechdyn.models.footprint import MemoryNeed, Workload, memory_of, prefill_of, step_of
from mechdyn.models.published import published_config
from mechdyn.models.registry import PAPER_MODELS
from mechdyn.models.shape import planned_shape, shape_of
from tests.architectures import STYLES, tiny_model


def counted(hf, n_rows, chunks, device="cpu"):
    """FLOPs of forwards that read chunks of tokens one behind the other, logits of the last position only."""
    cache, found = DynamicCache(config=hf.config), []
    for size in chunks:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            hf(torch.zeros(n_rows, size, dtype=torch.long, device=device), past_key_values=cache, use_cache=True, logits_to_keep=1)
        found.append(counter.get_total_flops())
    return found


@pytest.mark.parametrize("style", STYLES)
def test_flops_are_those_that_torch_counts(style):
    hf = tiny_model(style)
    hf.set_attn_implementation("eager")
    load = Workload(length=41, n_new=1, n_samples=3, chunk=16)
    *prefill, step = counted(hf, 3, (16, 16, 8, 1))
    shape = shape_of(hf)
    ours = [forward.total.flops for forward in prefill_of(shape, load, torch.float32)]
    # Torch counts the rotary angles as well, a product a position: below a thousandth.
    assert ours == pytest.approx(prefill, rel=1e-3)
    assert step_of(shape, Workload(40, 1, 3), torch.float32).total.flops == pytest.approx(step, rel=1e-3)


@pytest.mark.parametrize("name", PAPER_MODELS)
def test_flops_of_the_paper_models_at_full_size(name):
    with torch.device("meta"):
        hf = AutoModelForCausalLM.from_config(published_config(name))
    hf.set_attn_implementation("eager")
    (expected,) = counted(hf, 2, (24,), device="meta")
    (ours,) = prefill_of(planned_shape(name), Workload(25, 1, 2), torch.bfloat16)
    assert ours.total.flops == pytest.approx(expected, rel=1e-3)


def test_conditions_share_the_prompt_and_forwards_its_reading():
    shape = planned_shape("llama3.1-8b")
    one, four = Workload(1000, 8, 2), Workload(1000, 8, 2, n_conditions=4)
    position = 2 * 32 * 8 * 128 * 2
    assert memory_of(shape, one, torch.bfloat16).cache == 2 * 1008 * position
    assert memory_of(shape, four, torch.bfloat16).cache == (2 * 1000 + 8 * 8) * position
    assert prefill_of(shape, one, torch.bfloat16) == prefill_of(shape, four, torch.bfloat16)
    step = step_of(shape, four, torch.bfloat16)
    assert step.attention.n_bytes == (2 * 1000 + 8 * 4) * position
    assert step.weights.n_bytes == 2 * (8_030_261_248 - 128_256 * 4096)


def test_peak_is_weights_cache_and_the_larger_working_set():
    assert MemoryNeed(weights=100, cache=10, prefill=3, step=5).peak == 115
    assert MemoryNeed(weights=100, cache=10, prefill=7, step=5).peak == 117


def test_prefill_memory_is_bounded_or_linear_in_length():
    """In chunks: one prompt needs the same at any length, and each token more of a padded batch the mask and keys of one chunk."""
    shape = planned_shape("llama3.1-8b")
    for n_samples in (1, 4):
        loads = [Workload(length, 1, n_samples) for length in (32_769, 65_537, 131_073)]
        sizes = [memory_of(shape, load, torch.bfloat16).prefill for load in loads]
        assert sizes[2] - sizes[1] == 2 * (sizes[1] - sizes[0])
        assert (sizes[1] > sizes[0]) == (n_samples > 1)


def test_a_prompt_of_one_token_has_no_prefill():
    shape = planned_shape("mini")
    assert prefill_of(shape, Workload(1, 4), torch.float32) == []
    assert memory_of(shape, Workload(1, 4), torch.float32).prefill == 0
