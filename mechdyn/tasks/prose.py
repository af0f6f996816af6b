"""Procedural English prose: the haystack that needs no download."""

import random
import sys
from collections.abc import Callable, Sequence
from typing import Any

ADJECTIVES = (
    "young quiet tall narrow green heavy gentle broken silver distant warm pale bright wooden "
    "careful curious late winter hidden small crooked patient grey golden rough simple dusty clever tired"
).split()
_PEOPLE = (
    "miller teacher sailor farmer painter baker doctor shepherd merchant gardener carpenter fisherman librarian "
    "traveller neighbour cousin captain weaver smith clerk"
).split()
PLACES = (
    "bridge village harbour market forest river garden kitchen tower meadow station valley church orchard "
    "lighthouse square library hill road field"
).split()
THINGS = (
    "lantern letter basket wagon boat ladder kettle blanket hammer mirror map coat barrel clock violin rope candle chair window door"
).split()
_PAST_VERBS = (
    "carried repaired noticed painted forgot borrowed cleaned moved found watched lifted described hid sold "
    "counted dropped measured opened followed remembered"
).split()
_ADVERBS = "slowly quietly carefully again often quickly together alone gladly early".split()
_WHEN = (
    "before the rain began",
    "after the long winter",
    "in the late afternoon",
    "when the bells rang",
    "during the summer",
    "on the first day of spring",
    "while the others slept",
    "as soon as the wind turned",
    "without saying a word",
    "for most of the evening",
)
_FORMS: tuple[Callable[..., str], ...] = (
    lambda a, b, p, q, v, t, s, d, w: f"The {a} {p} {v} the {t} near the {s}.",
    lambda a, b, p, q, v, t, s, d, w: f"The {p} {v} a {a} {t} {w}.",
    lambda a, b, p, q, v, t, s, d, w: f"Nobody in the {s} {v} the {t} of the {p}.",
    lambda a, b, p, q, v, t, s, d, w: f"{w[0].upper()}{w[1:]}, the {p} {v} the {a} {t}.",
    lambda a, b, p, q, v, t, s, d, w: f"The {s} was {a} and {b}, and the {p} {v} the {t} {d}.",
    lambda a, b, p, q, v, t, s, d, w: f"A {a} {t} stood behind the {s}.",
    lambda a, b, p, q, v, t, s, d, w: f"The {p} and the {q} walked {d} to the {s} {w}.",
    lambda a, b, p, q, v, t, s, d, w: f"There was a {a} {s} where the {p} {v} every {t}.",
    lambda a, b, p, q, v, t, s, d, w: f"It was a {a} day, so the {p} {v} the {t} {d}.",
    lambda a, b, p, q, v, t, s, d, w: f"Was the {a} {s} the place where the {p} {v} the {t}?",
)
_DRAWN: tuple[Sequence[Any], ...] = (_WHEN, _FORMS, ADJECTIVES, ADJECTIVES, _PEOPLE, _PEOPLE, _PAST_VERBS, THINGS, PLACES, _ADVERBS)
"""What is drawn for a sentence, in this order, whether its form has room for it or not."""
_SIZES = tuple((words, len(words), len(words).bit_length()) for words in _DRAWN)


def procedural_sentence(rng: random.Random) -> str:
    """One made-up English sentence."""
    bits, drawn = rng.getrandbits, []
    for words, size, n_bits in _SIZES:
        # What `rng.choice` does, without its calls: this is most of what a prompt costs.
        index = bits(n_bits)
        while index >= size:
            index = bits(n_bits)
        drawn.append(words[index])
    when, form, *parts = drawn
    return form(*parts, when)


class Prose:
    """The text of `procedural_prose`, written only as far as it is read: a prompt has room for less than half of what it might need."""

    def __init__(self, seed: int, n_sentences: int) -> None:
        self._rng = random.Random(f"prose-{seed}")
        self._left = n_sentences
        self._text = ""

    def beginning(self, size: int) -> str:
        """At least `size` characters in whole sentences, or all of the text where it has fewer."""
        sentences, n_characters = [self._text] if self._text else [], len(self._text)
        while n_characters < size and self._left:
            sentences.append(procedural_sentence(self._rng))
            n_characters += len(sentences[-1]) + (len(sentences) > 1)
            self._left -= 1
        self._text = " ".join(sentences)
        return self._text


def procedural_prose(seed: int, n_sentences: int) -> str:
    """`n_sentences` made-up sentences as one text; the same seed gives the same text."""
    return Prose(seed, n_sentences).beginning(sys.maxsize)
