"""Which sentences of its context a rationale quotes: the supporting facts that it predicts."""

import html
from collections.abc import Sequence
from typing import Any

from mechdyn.metrics import normalize_answer
from mechdyn.tasks.hotpot_evaluation import Fact


def quoted_sentences(text: str, context: Sequence[Sequence[Any]]) -> list[Fact]:
    """The sentences of `context` that stand in `text` word for word, in the order of the context.

    Words are compared as the official answer metrics normalise them (case, ASCII punctuation, articles and white space aside), HTML
    entities resolved. A sentence that stands there only inside a longer one that is quoted is not; one that several paragraphs have
    counts in each, since the text cannot tell which was meant; one without a word is never quoted.
    """
    said, taken = f" {_words(text)} ", list[range]()
    sentences = {(title, index): _words(sentence) for title, sentences in context for index, sentence in enumerate(sentences)}
    quoted = set()
    for words in sorted(set(sentences.values()) - {""}, key=lambda words: (-len(words), words)):
        places = [place for place in _places(said, f" {words} ") if not any(_within(place, other) for other in taken)]
        if places:
            quoted.add(words)
            taken += places
    return [fact for fact, words in sentences.items() if words in quoted]


def _words(text: str) -> str:
    return normalize_answer(html.unescape(text))


def _places(text: str, wanted: str) -> list[range]:
    places, start = [], text.find(wanted)
    while start >= 0:
        places.append(range(start, start + len(wanted)))
        start = text.find(wanted, start + 1)
    return places


def _within(inner: range, outer: range) -> bool:
    return outer.start <= inner.start and inner.stop <= outer.stop


def answer_stands_in(answer: str, sentences: Sequence[str]) -> bool:
    """Whether the answer stands in any of the sentences, word for word as above; an answer such as yes or no as a rule does not."""
    words = _words(answer)
    return bool(words) and any(f" {words} " in f" {_words(sentence)} " for sentence in sentences)
