"""What tests take from the package's bundled model."""

from functools import cache
from typing import Any

from transformers import AutoTokenizer

from mechdyn.models.registry import MINI_FOLDER


@cache
def mini_tokenizer() -> Any:
    """The bundled model's tokenizer."""
    return AutoTokenizer.from_pretrained(MINI_FOLDER)
