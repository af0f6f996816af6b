"""The words of a draft, as ranges of its tokens."""

from dataclasses import dataclass
from typing import Any

import sentencex
from jaxtyping import Int
from torch import Tensor


@dataclass(frozen=True)
class Word:
    """One word of a draft with the white space before it. Words follow one another without a gap, in characters and in tokens."""

    text: str
    start: int
    """First character in the decoded draft."""
    end: int
    token_start: int
    token_end: int


def draft_words(tokenizer: Any, tokens: Int[Tensor, " step"]) -> tuple[Word, ...]:
    """Merge a draft's tokens into the words of its text.

    A word begins where a token begins at white space, or behind it, or at the beginning of a sentence (which parts text that is written
    without spaces at least there). This is found in the characters that each token adds to the decoded text, so it holds for any tokenizer,
    without regard to how its token strings mark a space. A token is never parted: where it covers several words, they are one. A token that
    adds no character (half of a character whose other half comes later, a special token) belongs to the word that is being written. White
    space at the draft's end belongs to the last word.
    """
    text, ends = decoded(tokenizer, tokens)
    if not ends:
        return ()
    begins = sentence_begins(text)
    last_ink = len(text.rstrip())
    firsts, start = [0], 0
    for token, at in enumerate(ends[:-1], start=1):
        parted = text[at - 1 : at].isspace() or text[at : at + 1].isspace() or at in begins
        if parted and at < last_ink and text[start:at].strip():
            firsts.append(token)
            start = at
    bounds = [0, *(ends[first - 1] for first in firsts[1:]), len(text)]
    return tuple(
        Word(text[bounds[index] : bounds[index + 1]], bounds[index], bounds[index + 1], first, behind)
        for index, (first, behind) in enumerate(zip(firsts, [*firsts[1:], len(ends)], strict=True))
    )


def decoded(tokenizer: Any, tokens: Int[Tensor, " step"]) -> tuple[str, list[int]]:
    """A draft's text without special tokens, and for each token how many characters of it stand once the token is there."""
    ids = tokens.tolist()

    def text_of(n: int) -> str:
        return tokenizer.decode(ids[:n], skip_special_tokens=True, clean_up_tokenization_spaces=False)

    text = text_of(len(ids))
    ends: list[int] = []
    for n in range(1, len(ids)):
        # What half a character decodes to is not in the whole text, so the common beginning ends before it.
        reached = _shared(text_of(n), text)
        ends.append(max(reached, ends[-1] if ends else 0))
    return text, [*ends, len(text)] if ids else []


def sentence_begins(text: str) -> set[int]:
    """Characters at which a sentence begins, the first one and white space between sentences apart."""
    return {int(boundary["start_index"]) for boundary in sentencex.get_sentence_boundaries("en", text)}


def _shared(first: str, second: str) -> int:
    """How many characters two texts begin with in common."""
    pairs = zip(first, second, strict=False)
    return next((index for index, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))
