"""What is hidden in a row and asked back: a key, its value, and how both are told."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from experiments.train_mini.made_up import Lexicon
from mechdyn.tasks.niah import QUESTION, needle_sentence, random_uuid
from mechdyn.tasks.world import make_world

_COLOURS = "red blue green silver golden black white grey".split()
_OBJECTS = "door gate garden tower letter lantern bridge clock boat window".split()
_MONTHS = "January February March April May June July August September October November December".split()
_THINGS = "password number ticket price name date key address title answer reference size model room account".split()
_TELLING = (
    ("The {key} is ", "What is the {key}?"),
    ("The {key} was set to ", "What was the {key} set to?"),
    ("Remember that the {key} is ", "What is the {key}?"),
    ("Somebody wrote that the {key} must be ", "What must the {key} be?"),
    ("Note: {key} = ", "What is the {key}?"),
)


@dataclass(frozen=True)
class Fact:
    """A sentence up to its value, the value, and the question that asks for it."""

    prefix: str
    value: str
    question: str


def keyed_facts(rng: random.Random, n: int, lexicon: Lexicon, other_values: float = 0.0) -> list[Fact]:
    """`n` facts with different keys; the magic word is nearly always one of them.

    Values are UUIDs and some names; a share `other_values` of the facts has numbers, dates, codes and words, told in other sentences too.
    """
    keys = rng.sample([f"{colour} {thing} code" for colour in _COLOURS for thing in _OBJECTS], n)
    if rng.random() < 0.8:
        keys[rng.randrange(n)] = "magic word"
    facts = []
    for key in keys:
        if other_values and rng.random() < other_values:
            facts.append(_other_fact(rng, key, lexicon))
            continue
        value = random_uuid(rng) if rng.random() < 0.8 else names(rng, rng.randint(1, 3))
        facts.append(Fact(needle_sentence("").replace("magic word", key)[:-1], value, QUESTION.replace("magic word", key)))
    return facts


def names(rng: random.Random, n: int) -> str:
    """Names of `n` people, as worlds have them."""
    return " ".join(chain.titles[1] for chain in make_world(rng, n).chains)


def _other_fact(rng: random.Random, key: str, lexicon: Lexicon) -> Fact:
    """The key as it is or, every other time, another one that no fact of `keyed_facts` has."""
    if rng.random() < 0.5:
        key = f"{rng.choice(_THINGS)} of the {rng.choice(_COLOURS)} {rng.choice(_OBJECTS)}"
    prefix, question = rng.choice(_TELLING)
    value = rng.choice(_VALUES)(rng, lexicon)
    return Fact(prefix.format(key=key), value, question.format(key=key))


def _digits(rng: random.Random, low: int, high: int) -> str:
    return "".join(rng.choice("0123456789") for _ in range(rng.randint(low, high)))


def _number(rng: random.Random, lexicon: Lexicon) -> str:
    return rng.choice("123456789") + _digits(rng, 0, 8)


def _decimal(rng: random.Random, lexicon: Lexicon) -> str:
    return f"{rng.randint(0, 9999)}{rng.choice('.,:')}{_digits(rng, 1, 2)}"


def _date(rng: random.Random, lexicon: Lexicon) -> str:
    day, month, year = rng.randint(1, 28), rng.randrange(12), rng.randint(1600, 2050)
    return rng.choice((f"{day} {_MONTHS[month]} {year}", f"{year}-{month + 1:02}-{day:02}", f"{_MONTHS[month]} {day}, {year}", str(year)))


def _code(rng: random.Random, lexicon: Lexicon) -> str:
    """Letters and digits: `7f31`, `QX-4401`, `blue-1234`."""
    return rng.choice(
        (
            "".join(rng.choice("0123456789abcdef") for _ in range(rng.randint(3, 10))),
            "".join(rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(rng.randint(1, 4))) + rng.choice("- ") + _digits(rng, 2, 5),
            f"{lexicon.word(rng).lower()}-{_digits(rng, 1, 4)}",
        )
    )


def _words(rng: random.Random, lexicon: Lexicon) -> str:
    return lexicon.phrase(rng, 1, 4).lower()


_VALUES: tuple[Callable[[random.Random, Lexicon], str], ...] = (_number, _number, _decimal, _date, _code, _code, _words, _words)
