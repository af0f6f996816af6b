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


def real_model() -> Model:
    """Loaded once in a process; the test is skipped where it has not been fetched, or cannot be unpacked."""
    if not file_of(FETCHED[NAME]).is_file():
        pytest.skip(f"needs {NAME}: mechdyn models get {NAME}")
    return _loaded()


@cache
def real_plain() -> Any:
    """The same file as transformers alone reads and runs it: eager attention, float32, nothing of mechdyn's."""
    if not is_fetched(FETCHED[NAME]):
        pytest.skip(f"needs {NAME}: mechdyn models get {NAME}")
    pytest.importorskip("gguf", reason="needs the package gguf: pip install 'mechdyn[gguf]'")
    file = Path(fetched_file(FETCHED[NAME]))
    options = {"quantization_config": transformers.GgufConfig(dequantize=True)} if hasattr(transformers, "GgufConfig") else {}
    return AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32, attn_implementation="eager", **options
    ).eval()


@cache
def _loaded() -> Model:
    return load_model(NAME, device="cpu")
