"""The sentences of a draft, as ranges of its tokens."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Int
from torch import Tensor


@dataclass(frozen=True)
class Sentence:
    """One sentence of a draft. Sentences follow one another without a gap, in characters and in tokens."""

    text: str
    start: int
    """First character in the decoded draft; white space before a sentence belongs to it."""
    end: int
    token_start: int
    """First token; retraction to this sentence keeps `tokens[:token_start]`."""
    token_end: int


def draft_sentences(tokenizer: Any, tokens: Int[Tensor, " step"]) -> tuple[Sentence, ...]:
    """Split a draft into sentences that begin and end between words."""
    raise NotImplementedError
