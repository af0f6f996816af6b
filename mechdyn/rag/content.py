"""Which words carry content, by part of speech."""

import re
from typing import Any

_PIECE = re.compile(r"(?:\w\.){2,}|\w+?(?=n't\b)|n't\b|'\w+|\w+(?:[-.,:/]\w+)*|[^\w\s]", re.IGNORECASE)
_CONTENT_TAGS = ("NN", "JJ", "VB", "CD")
"""Beginnings of the Penn tags of nouns and proper nouns, adjectives, verbs and numbers."""
_AUXILIARIES = frozenset("am are be been being did do does had has have having is was were 'd 'm 're 's 've".split())


def content_spans(sentence: str) -> list[tuple[int, int]]:
    """Character spans of a sentence's nouns, proper nouns, adjectives, verbs and numbers, in order.

    DRAGIN takes these five parts of speech from spaCy's `en_core_web_sm`, a model to be downloaded. Here TextBlob's pattern tagger does it:
    the one maintained English tagger that was found to carry its lexicon and rules in its wheel (0.6 MB; its only dependency comes with
    `rouge-score`). A list of stop words knows no context and leaves in every adverb. Auxiliaries are no content, as with spaCy: forms of
    be, have and do always, modals by their tag. Words that the tagger does not know, other languages among them, count as nouns.
    """
    from textblob.en import parser  # takes a second to import

    found = list(_PIECE.finditer(sentence.replace("’", "'")))
    tagged = parser.find_tags([piece.group() for piece in found])
    return [piece.span() for piece, (_, tag) in zip(found, tagged, strict=True) if _is_content(piece.group(), tag)]


def _is_content(piece: str, tag: Any) -> bool:
    has_letter_or_digit = any(character.isalnum() for character in piece)
    return has_letter_or_digit and str(tag).startswith(_CONTENT_TAGS) and piece.lower() not in _AUXILIARIES
