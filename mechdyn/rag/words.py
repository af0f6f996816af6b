"""The words and sentences of a draft, as ranges of its tokens, and which words carry content."""

import re
from bisect import bisect_right
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import sentencex
from jaxtyping import Int

from mechdyn.tensors import Tensor


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


_PIECE = re.compile(r"(?:\w\.){2,}|\w+?(?=n't\b)|n't\b|'\w+|\w+(?:[-.,:/]\w+)*|[^\w\s]", re.IGNORECASE)
_CONTENT_TAGS = ("NN", "JJ", "VB", "CD")
"""Beginnings of the Penn tags of nouns and proper nouns, adjectives, verbs and numbers."""
_AUXILIARIES = frozenset("am are be been being did do does had has have having is was were 'd 'm 're 's 've".split())


def content_spans(sentence: str) -> list[tuple[int, int]]:
    """Character spans of a sentence's nouns, proper nouns, adjectives, verbs and numbers, in order.

    DRAGIN takes these five parts of speech from spaCy's `en_core_web_sm`, a model to be downloaded. Here TextBlob's pattern tagger does it:
    the one maintained English tagger that was found to carry its lexicon and rules in its wheel (0.6 MB; its only dependency comes with
    `rouge-score`). A list of stop words would not do: it takes no account of how a word is used, and keeps every adverb. Auxiliaries are no
    content, as with spaCy: forms of be, have and do always, modals by their tag. Words that the tagger does not know, other languages among
    them, count as nouns.
    """
    from textblob.en import parser  # takes a second to import

    found = list(_PIECE.finditer(sentence.replace("’", "'")))
    tagged = parser.find_tags([piece.group() for piece in found])
    return [piece.span() for piece, (_, tag) in zip(found, tagged, strict=True) if _is_content(piece.group(), tag)]


def _is_content(piece: str, tag: Any) -> bool:
    has_letter_or_digit = any(character.isalnum() for character in piece)
    return has_letter_or_digit and str(tag).startswith(_CONTENT_TAGS) and piece.lower() not in _AUXILIARIES


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
