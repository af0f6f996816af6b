"""Running out of memory is told from other failures, and where a model does not fit its size is named."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from mechdyn.errors import OutOfMemoryError
from mechdyn.models.failures import is_out_of_memory
from mechdyn.models.load import load_model

TOO_MUCH = 1 << 50


def test_what_counts_as_out_of_memory():
    with pytest.raises(RuntimeError) as allocator:
        torch.empty(TOO_MUCH)
    assert is_out_of_memory(allocator.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_a_model_that_does_not_fit_is_named_with_its_size(monkeypatch):
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", lambda *args, **options: torch.empty(TOO_MUCH))
    words = r"out of memory on cpu: the weights of mini take 0\.0 GiB of [\d.]+; take a smaller dtype .* device_map='auto'"
    with pytest.raises(OutOfMemoryError, match=words):
        load_model("mini")
