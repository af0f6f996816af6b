"""The sentences of a draft, as ranges of its words and tokens."""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from jaxtyping import Int
from torch import Tensor

from mechdyn.rag.words import Word, draft_words, sentence_begins


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
    """Split a draft into sentences, each of them whole words; an empty draft has none.

    The end of a sentence inside a word, where one token covers both sides, goes to the word's end: the word belongs to the sentence in
    which it begins. A sentence that would get no word is joined to the one before it.

    `sentencex` (MIT, kept by Wikimedia, rules inside the wheel) knows abbreviations, initials and decimals; it reads the text as English.
    `mechdyn.tasks.haystack` does a similar thing by simpler rules of our own: a needle can be placed at any full stop, and samples must be
    the same with every version of a library. Here "Dr." must not end the sentence that is rewritten.
    """
    return group_words(draft_words(tokenizer, tokens))[0]


def group_words(words: tuple[Word, ...]) -> tuple[tuple[Sentence, ...], tuple[int, ...]]:
    """The sentences of a draft's words, and for each word the index of its sentence."""
    begins = sorted(sentence_begins("".join(word.text for word in words)))
    groups = [list(group) for _, group in groupby(words, key=lambda word: bisect_right(begins, _first_ink(word)))]
    sentences = tuple(
        Sentence("".join(word.text for word in group), group[0].start, group[-1].end, group[0].token_start, group[-1].token_end)
        for group in groups
    )
    return sentences, tuple(index for index, group in enumerate(groups) for _ in group)


def _first_ink(word: Word) -> int:
    """The first character of a word that is no white space."""
    return word.start + len(word.text) - len(word.text.lstrip())
