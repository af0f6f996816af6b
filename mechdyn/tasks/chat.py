"""Rendering a system and a user text as the model expects them, and finding character spans in its tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from mechdyn.errors import InputError, UnsupportedModelError
from mechdyn.tasks.sample import Sample, Span

DATE = "26 Jul 2024"
"""The date that Llama 3's own template falls back on."""


@dataclass(frozen=True)
class Prompt:
    """A rendered prompt: its text, its ids and, for each token, the characters it covers."""

    text: str
    tokens: Int[Tensor, " pos"]
    offsets: tuple[Span, ...]


def render(tokenizer: Any, system: str | None, user: str, begun: str = "") -> Prompt:
    """System and user text through the tokenizer's chat template, tokenised once, without a second BOS.

    A tokenizer without a template (base models) gets plain text, `system`, `user` and `Answer:` apart by blank lines, with the special
    tokens it adds by itself. A template that refuses the system role gets both texts as the user's. Thinking is switched off where
    the template knows the switch (Qwen3).

    Args:
        tokenizer: a fast tokenizer.
        system: the system text; None for a prompt without one, whatever the template then puts there.
        user: the user's text.
        begun: the beginning of the answer, which the model goes on with; a space parts it from what is no white space. In plain text it
            follows the user's in place of `Answer:`.
    """
    require_offsets(tokenizer)
    if getattr(tokenizer, "chat_template", None) is None:
        last = f"{user} {begun}" if begun else f"{user}\n\nAnswer:"
        return encode(tokenizer, last if system is None else f"{system}\n\n{last}", add_special_tokens=True)
    text = _through_template(tokenizer, system, user)
    space = " " if begun and not text[-1:].isspace() else ""
    return encode(tokenizer, f"{text}{space}{begun}", add_special_tokens=False)


def encode(tokenizer: Any, text: str, add_special_tokens: bool) -> Prompt:
    """Tokenise `text` with character offsets."""
    encoding = tokenizer(text, add_special_tokens=add_special_tokens, return_offsets_mapping=True)
    offsets = tuple((int(start), int(end)) for start, end in encoding["offset_mapping"])
    return Prompt(text, torch.tensor(encoding["input_ids"], dtype=torch.long), offsets)


def positions_of(prompt: Prompt, spans: tuple[Span, ...]) -> Int[Tensor, " pos"]:
    """Input positions of every token that overlaps one of the character spans, ascending."""
    return torch.tensor(
        [
            position
            for position, (start, end) in enumerate(prompt.offsets)
            if any(start < span_end and span_start < end for span_start, span_end in spans)
        ],
        dtype=torch.long,
    )


def token_spans(prompt: Prompt, spans: Sequence[Span]) -> list[list[int]]:
    """Input positions [first, last + 1) of the tokens that overlap each character span; [0, 0] for a span that no token covers."""
    offsets = np.array(prompt.offsets, dtype=np.int64).reshape(-1, 2)
    found = (np.flatnonzero((offsets[:, 0] < end) & (start < offsets[:, 1])) for start, end in spans)
    return [[int(positions[0]), int(positions[-1]) + 1] if len(positions) else [0, 0] for positions in found]


def context_positions(tokenizer: Any, sample: Sample) -> Int[Tensor, " pos"]:
    """Input positions of the tokens that cover characters of a sample's context: haystack or paragraphs, nothing of the frame round it.

    Raises:
        InputError: a sample of another tokenizer.
    """
    return positions_of(encode_again(tokenizer, sample), (sample.context_span,))


def encode_again(tokenizer: Any, sample: Sample) -> Prompt:
    """A sample's prompt with the characters of its tokens, which samples do not keep.

    Raises:
        InputError: a sample of another tokenizer.
    """
    prompt = encode(tokenizer, sample.prompt, add_special_tokens=getattr(tokenizer, "chat_template", None) is None)
    if not torch.equal(prompt.tokens, sample.tokens):
        raise InputError("the sample's tokens are not this tokenizer's tokens of its prompt; build the sample with the model it is run on")
    return prompt


def locate(prompt: Prompt, text: str, what: str) -> int:
    """Where `text` begins in the prompt; an error where the chat template altered it."""
    start = prompt.text.find(text)
    if start < 0:
        raise InputError(
            f"the chat template changed the {what}: its text no longer stands in the prompt; use a template that keeps it as it is"
        )
    return start


def require_offsets(tokenizer: Any) -> None:
    """Refuse a tokenizer that cannot say which characters a token covers."""
    if not getattr(tokenizer, "is_fast", False):
        raise UnsupportedModelError(
            f"a fast tokenizer with character offsets is needed, got {type(tokenizer).__name__}; load it with AutoTokenizer"
        )


def _through_template(tokenizer: Any, system: str | None, user: str) -> str:
    from jinja2.exceptions import TemplateError

    # A fixed date: templates that write today's (Llama 3) would give another prompt tomorrow.
    options: dict[str, Any] = {"tokenize": False, "add_generation_prompt": True, "enable_thinking": False, "date_string": DATE}
    asked = {"role": "user", "content": user}
    if system is None:
        return tokenizer.apply_chat_template([asked], **options)
    try:
        return tokenizer.apply_chat_template([{"role": "system", "content": system}, asked], **options)
    except TemplateError:
        return tokenizer.apply_chat_template([{"role": "user", "content": f"{system}\n\n{user}"}], **options)
