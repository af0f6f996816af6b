"""Procedural English prose: the haystack that needs no download."""

import random
from collections.abc import Iterator

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
_FORMS = (
    "The {a} {p} {v} the {t} near the {l}.",
    "The {p} {v} a {a} {t} {w}.",
    "Nobody in the {l} {v} the {t} of the {p}.",
    "{W}, the {p} {v} the {a} {t}.",
    "The {l} was {a} and {b}, and the {p} {v} the {t} {d}.",
    "A {a} {t} stood behind the {l}.",
    "The {p} and the {q} walked {d} to the {l} {w}.",
    "There was a {a} {l} where the {p} {v} every {t}.",
    "It was a {a} day, so the {p} {v} the {t} {d}.",
    "Was the {a} {l} the place where the {p} {v} the {t}?",
)


def procedural_sentence(rng: random.Random) -> str:
    """One made-up English sentence."""
    when = rng.choice(_WHEN)
    return rng.choice(_FORMS).format(
        a=rng.choice(ADJECTIVES),
        b=rng.choice(ADJECTIVES),
        p=rng.choice(_PEOPLE),
        q=rng.choice(_PEOPLE),
        v=rng.choice(_PAST_VERBS),
        t=rng.choice(THINGS),
        l=rng.choice(PLACES),
        d=rng.choice(_ADVERBS),
        w=when,
        W=when[0].upper() + when[1:],
    )


def procedural_sentences(rng: random.Random) -> Iterator[str]:
    """Made-up sentences without end."""
    while True:
        yield procedural_sentence(rng)


def procedural_prose(seed: int, n_sentences: int) -> str:
    """`n_sentences` made-up sentences as one text; the same seed gives the same text."""
    rng = random.Random(f"prose-{seed}")
    return " ".join(procedural_sentence(rng) for _ in range(n_sentences))
