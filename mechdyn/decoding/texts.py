"""The text of each token of a sequence, as it reads in its place."""

from collections.abc import Sequence
from typing import Any

_MOST_PARTS = 4
"""A character has at most four bytes, so at most four byte-level tokens."""
_HALF = "\ufffd"


def texts_in_place(tokenizer: Any, ids: Sequence[int]) -> tuple[str, ...]:
    """One text a token; together they read as the decoded sequence.

    A token is decoded behind the one before it, so that it keeps the space that SentencePiece drops at the start of a text. Of a character
    that several byte-level tokens make up, the last one has the character and those before it �.
    """

    def decode(start: int, end: int) -> str:
        return tokenizer.decode(list(ids[start:end]), skip_special_tokens=False, clean_up_tokenization_spaces=False)

    texts: list[str] = []
    before, given = 0, 0
    head = ""
    for end in range(1, len(ids) + 1):
        whole = decode(before, end)
        if whole.endswith(_HALF) and end - given < _MOST_PARTS:
            texts.append(_HALF)
            continue
        text = whole[len(head) :] if whole.startswith(head) else decode(given, end)
        texts.append(text.lstrip(_HALF) or _HALF if end - given > 1 else text)
        before, given = given, end
        head = decode(before, given)
    return tuple(texts)
