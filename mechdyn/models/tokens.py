"""The texts of token ids of a model whose weights are not loaded."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoTokenizer

from mechdyn.models.checkpoint import read_tokenizer
from mechdyn.models.gguf import kept_folder
from mechdyn.models.registry import CONTROLS, MINI_FOLDER
from mechdyn.models.source import gguf_file_of, source_of

_BEFORE = "a"
"""A token is decoded behind this text, so that it keeps the space that SentencePiece drops at the start of a text."""


def load_tokenizer(name: str, dtype: str = "float32") -> Any:
    """The tokenizer behind a name that `load_model` takes; of a GGUF file the one kept with its weights in `dtype`.

    Raises:
        InputError: nothing of that name, or a tokenizer that is missing or damaged.
    """
    if name in CONTROLS:
        return AutoTokenizer.from_pretrained(MINI_FOLDER)
    file = gguf_file_of(name)
    return read_tokenizer(name, str(kept_folder(name, file, getattr(torch, dtype))) if file else source_of(name))


def token_texts(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """The text of each id by itself, as in running text; a part of a character is �."""
    before = tokenizer.encode(_BEFORE, add_special_tokens=False)
    head = _decoded(tokenizer, before)
    whole = [_decoded(tokenizer, [*before, token]) for token in ids]
    return [text[len(head) :] if text.startswith(head) else _decoded(tokenizer, [token]) for token, text in zip(ids, whole, strict=True)]


def _decoded(tokenizer: Any, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))
