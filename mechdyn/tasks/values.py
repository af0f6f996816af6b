"""Keys and values that nobody can guess, and how an answer that lists several of them is judged."""

import random
import uuid
from collections.abc import Callable, Collection
from types import MappingProxyType

from mechdyn.errors import InputError
from mechdyn.tasks.prose import ADJECTIVES, PLACES, THINGS

LIST_JOINT = ", "
_DRAWS = 1000
_NOUNS = (*PLACES, *THINGS)


def random_uuid(rng: random.Random) -> str:
    """A UUID4 from the generator, so that a seed fixes it."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def random_number(rng: random.Random) -> str:
    """Seven digits, as RULER has them."""
    return str(rng.randint(10**6, 10**7 - 1))


def random_words(rng: random.Random) -> str:
    """An adjective and a noun, `quiet-harbour`, of this project's own lists: 30 × 41 of them."""
    return f"{rng.choice(ADJECTIVES)}-{rng.choice(_NOUNS)}"


KINDS = MappingProxyType({"words": random_words, "numbers": random_number, "uuids": random_uuid})
"""What keys and values can be, as RULER calls it."""


def check_kind(option: str, kind: str) -> None:
    """Refuse a kind that does not exist."""
    if kind not in KINDS:
        raise InputError(f"{option} must be one of {', '.join(KINDS)}, got {kind!r}")


def check_count(option: str, number: object, least: int, most: int) -> None:
    """Refuse what is no whole number in [least, most]."""
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
        raise InputError(f"{option} must be a whole number from {least} to {most}, got {number!r}")


def draw_distinct(
    draw: Callable[[random.Random], str], n: int, rng: random.Random, taken: Collection[str] = (), what: str = "values"
) -> list[str]:
    """`n` different texts, none of them in `taken`.

    Raises:
        InputError: there are not so many.
    """
    found: dict[str, None] = {}
    for _ in range(_DRAWS + 10 * n):
        if len(found) == n:
            return list(found)
        text = draw(rng)
        if text not in taken:
            found[text] = None
    raise InputError(f"{n} different {what} are needed and only {len(found)} were found; ask for fewer, or for another kind")


def listed(values: Collection[str]) -> str:
    """Several values as one answer."""
    return LIST_JOINT.join(values)


def list_quality(text: str, answer: str) -> dict[str, float]:
    """How much of a list a text names.

    `recall` is the share of the answer's values that occur in the text, capitals aside (RULER's `string_match_all`); `accuracy` is 1
    where all do. What the text names besides is not counted.
    """
    values = answer.lower().split(LIST_JOINT)
    found = sum(value in text.lower() for value in values)
    return {"recall": found / len(values), "accuracy": float(found == len(values))}
