"""A budget adds up: over batches, against memory, and in what it says fits."""

from dataclasses import replace

import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.models.budget import Budget, RunSize, budget_of
from mechdyn.models.footprint import Workload, memory_of
from mechdyn.models.hardware import DATA_SHEETS

EIGHT = RunSize(lengths=(5000, 32_768), n_samples=20, n_conditions=4, ablate=True, batch_size=8)


def eight(model: str = "llama3.1-8b", device: str = "h200", dtype: str | None = None, **changes: object) -> Budget:
    return budget_of(model, replace(EIGHT, **changes), device=device, dtype=dtype)


def test_runs_are_whole_batches_and_a_rest():
    both = eight()
    parts = [eight(n_samples=n_samples) for n_samples in (8, 8, 4)]
    for index, each in enumerate(both.lengths):
        assert each.seconds == pytest.approx(sum(part.lengths[index].seconds for part in parts))
        assert each.work.flops == sum(part.lengths[index].work.flops for part in parts)
        assert 0 < each.prefill_seconds < each.seconds
    assert both.seconds == pytest.approx(sum(each.seconds for each in both.lengths))


def test_ablation_doubles_the_steps_and_conditions_share_prefill():
    once, twice = (eight(ablate=ablate) for ablate in (False, True))
    alone = eight(n_conditions=1)
    for one, two, single in zip(once.lengths, twice.lengths, alone.lengths, strict=True):
        assert one.prefill_seconds == two.prefill_seconds == single.prefill_seconds
        assert two.seconds - two.prefill_seconds == pytest.approx(2 * (one.seconds - one.prefill_seconds))


def test_seventy_billion_weights_need_two_devices():
    """On paper: 141 GB of weights, and 328 kB of keys and values a token; a step reads both once."""
    size = RunSize(lengths=(131_000,), n_new=64, batch_size=1)
    one, two = (budget_of("llama3.1-70b", size, device=device).lengths[0] for device in ("h200", "2xh200"))
    assert not one.fits and two.fits and one.memory == two.memory and one.seconds == two.seconds
    assert two.memory.weights == pytest.approx(141.1e9, rel=0.001)
    assert two.memory.cache == pytest.approx(80 * 2 * 8 * 128 * 2 * 131_064, rel=0.001)
    assert two.prefill_seconds == pytest.approx((2 * 69.5e9 * 131_000 + 2 * 80 * 64 * 128 * 131_000**2) / 989e12, rel=0.1)
    assert two.seconds - two.prefill_seconds == pytest.approx(64 * 184e9 / 4.8e12, rel=0.05)


def test_steps_of_one_prompt_take_what_reading_takes():
    """On paper: 8 billion weights of two bytes and 5,000 positions of 128 KiB at 4.8 TB a second, for 64 tokens."""
    budget = budget_of("llama3.1-8b", RunSize(lengths=(5000,), batch_size=1), device="h200")
    (each,) = budget.lengths
    read = 2 * (8_030_261_248 - 128_256 * 4096) + 5032 * 131_072
    assert (each.seconds - each.prefill_seconds) == pytest.approx(64 * read / 4.8e12, rel=0.01)


@pytest.mark.parametrize("name", ["h200", "rtx4090", "l40s"])
def test_the_largest_batch_and_length_fit_and_the_next_do_not(name):
    budget = eight(device=name, n_samples=1000, batch_size=1000)
    card = DATA_SHEETS[name]

    def fits(load):
        return memory_of(budget.shape, load, torch.bfloat16).peak + card.in_use <= card.memory

    for each in budget.lengths:
        assert not each.fits and 0 < each.largest_batch < 1000
        assert fits(replace(each.load, n_samples=each.largest_batch))
        assert not fits(replace(each.load, n_samples=each.largest_batch + 1))
    alone = Workload(budget.longest, 64, 1, 4, 2)
    assert fits(alone)
    assert budget.longest == budget.shape.n_ctx - 64 or not fits(replace(alone, length=budget.longest + 1))


def test_what_does_not_fit_at_all_says_so():
    budget = budget_of("llama2-13b", RunSize(lengths=(512,)), device="rtx4090", dtype="float32")
    assert budget.longest == 0 and budget.lengths[0].largest_batch == 0 and not budget.lengths[0].fits


def test_types_are_those_of_loading():
    assert budget_of("mini", RunSize((512,)), device="h100").dtype == torch.float32
    assert eight(device="h100").dtype == torch.bfloat16
    assert budget_of("llama2-13b", RunSize((512,)), device="h100").dtype == torch.float16
    assert budget_of("llama3.2-3b", RunSize((512,)), device="cpu").dtype == torch.float32


BAD = {
    "device": ({"device": "tpu"}, "unknown device 'tpu'"),
    "dtype": ({"dtype": "int8"}, "dtype must be one of float32, bfloat16, float16, got 'int8'"),
    "model": ({"model": "nothing"}, "unknown model 'nothing'"),
    "length": ({"lengths": (131_072,)}, "length 131072 must lie between 1 and 131008: llama3.1-8b holds 131072 positions, 64 of them"),
    "no length": ({"lengths": ()}, "a budget needs at least one prompt length, got none; give one with --length"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_requests_are_one_line(case):
    changes, message = BAD[case]
    with pytest.raises(InputError, match=message):
        eight(**changes)
