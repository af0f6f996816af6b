"""The real model of the tests: fetched by `mechdyn models get`, and skipped where it is not there."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM

from mechdyn.models.fetch import fetched_file, file_of, is_fetched
from mechdyn.models.load import load_model
from mechdyn.models.model import Model
from mechdyn.models.registry import FETCHED

NAME = "smollm2-135m"


def real_model(name: str = NAME) -> Model:
    """Loaded once in a process; the test is skipped where it has not been fetched, or cannot be unpacked."""
    if not file_of(FETCHED[name]).is_file():
        pytest.skip(f"needs {name}: mechdyn models get {name}")
    return _loaded(name)


@cache
def real_plain(name: str = NAME) -> Any:
    """The same file as transformers alone reads and runs it: eager attention, float32, nothing of mechdyn's."""
    if not is_fetched(FETCHED[name]):
        pytest.skip(f"needs {name}: mechdyn models get {name}")
    pytest.importorskip("gguf", reason="needs the package gguf: pip install 'mechdyn[gguf]'")
    file = Path(fetched_file(FETCHED[name]))
    options = {"quantization_config": transformers.GgufConfig(dequantize=True)} if hasattr(transformers, "GgufConfig") else {}
    return AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32, attn_implementation="eager", **options
    ).eval()


@cache
def _loaded(name: str) -> Model:
    return load_model(name, device="cpu")
