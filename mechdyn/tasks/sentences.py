"""Where sentences end, for placing needles."""

import re

_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]]*(?=\s|$)")


def sentence_ends(text: str) -> list[int]:
    """Character offsets just behind every sentence of `text`, ascending.

    A sentence ends at `.`, `!`, `?` or `…` and the closing quotes or brackets behind it, where white space or
    the end of the text follows. Abbreviations ("Mr. Smith") count as ends: harmless for placing a needle.
    """
    return [match.end() for match in _SENTENCE_END.finditer(text)]


def split_sentences(text: str) -> list[str]:
    """The sentences of `text`, each without the white space around it; text behind the last end is dropped."""
    ends = sentence_ends(text)
    starts = [0, *ends[:-1]] if ends else []
    sentences = (text[start:end].strip() for start, end in zip(starts, ends, strict=True))
    return [" ".join(sentence.split()) for sentence in sentences if sentence]
