"""Keys, values and answers that list several."""

import random
import re
import uuid

import pytest

from mechdyn.errors import InputError
from mechdyn.tasks.values import KINDS, check_count, draw_distinct, list_quality, listed


def test_values_are_of_their_kind() -> None:
    rng = random.Random(0)
    for _ in range(50):
        assert re.fullmatch(r"[1-9]\d{6}", KINDS["numbers"](rng))
        assert re.fullmatch(r"[a-z]+-[a-z]+", KINDS["words"](rng))
        assert uuid.UUID(KINDS["uuids"](rng)).version == 4


def test_drawn_values_differ() -> None:
    drawn = draw_distinct(KINDS["words"], 500, random.Random(1), taken=["quiet-harbour"])
    assert len(set(drawn)) == 500 and "quiet-harbour" not in drawn
    with pytest.raises(InputError, match="3 different letters are needed and only 2 were found; ask for fewer, or for another kind"):
        draw_distinct(lambda rng: rng.choice("ab"), 3, random.Random(0), what="letters")


@pytest.mark.parametrize("seed", range(20))
def test_lists_are_judged_as_ruler_does(seed: int) -> None:
    rng = random.Random(seed)
    values = draw_distinct(KINDS[rng.choice(list(KINDS))], rng.randrange(1, 6), rng)
    told = [value.upper() if rng.random() < 0.3 else value for value in values if rng.random() < 0.6]
    rng.shuffle(told)
    text = f"They are {' and '.join(told)}."
    # RULER's string_match_all, as its paper describes it: the share of the expected strings that the text has.
    wanted = sum(1.0 if value.lower() in text.lower() else 0.0 for value in values) / len(values)
    assert list_quality(text, listed(values)) == {"recall": wanted, "accuracy": float(wanted == 1.0)}


@pytest.mark.parametrize("number", [0, 5, 2.0, True, "2", None])
def test_counts_out_of_range_are_refused(number: object) -> None:
    with pytest.raises(InputError, match=f"n must be a whole number from 1 to 4, got {number!r}"):
        check_count("n", number, 1, 4)
