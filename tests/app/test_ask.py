from types import SimpleNamespace

import pytest

from mechdyn.app.ask import Ask, Limits, as_ask
from mechdyn.errors import InputError
from mechdyn.tasks.niah import niah
from tests.bundled import mini_tokenizer

MODEL = SimpleNamespace(tokenizer=mini_tokenizer(), n_ctx=2304)
FORM = {"needle": "A bee.", "question": "What?", "haystack": None, "length": 300, "depth": 1, "seed": 3, "new_tokens": 8}
ASK = as_ask(FORM)


def test_an_empty_haystack_is_prose_of_the_length_and_a_given_one_stays_whole() -> None:
    sample = ASK.sample(MODEL, Limits())
    assert (len(sample), sample.question, sample.meta["haystack"]) == (300, "What?", "procedural")
    assert sample.key == niah(MODEL, length=300, depth=1.0, seed=3, needle="A bee.", question="What?").key
    own = as_ask({**FORM, "haystack": "One. Two."}).sample(MODEL, Limits())
    assert own.prompt[slice(*own.context_span)] == "One. Two. A bee."


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"needle": "x" * 11}, "the needle has 11 characters and at most 10 are taken"),
        ({"question": "x" * 11}, "the question has 11 characters"),
        ({"haystack": "x" * 101}, "the haystack has 101 characters"),
        ({"new_tokens": 0}, r"new tokens must lie in \[1, 16\], got 0"),
        ({"new_tokens": 17}, r"new tokens must lie in \[1, 16\], got 17"),
        ({"needle": " "}, "the needle is empty"),
        ({"question": ""}, "the question is empty"),
        ({"length": 2300}, "length 2300 is beyond the model's context"),
        ({"length": 10}, "length 10 cannot hold the needle"),
        ({"depth": 1.5}, r"depth must lie in \[0, 1\]"),
    ],
)
def test_what_goes_beyond_the_limits_is_refused_in_a_line(changed: dict, message: str) -> None:
    limits = Limits(needle_characters=10, question_characters=10, haystack_characters=100, new_tokens=16)
    with pytest.raises(InputError, match=message):
        as_ask({**FORM, **changed}).sample(MODEL, limits)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"length": None}, "length must be a whole number, got None"),
        ({"depth": "deep"}, "depth must be a number, got 'deep'"),
        ({"seed": 0.5}, "seed must be a whole number, got 0.5"),
        ({"new_tokens": True}, "new tokens must be a whole number, got True"),
        ({"depth": float("nan")}, r"depth must lie in \[0, 1\], got nan"),
    ],
)
def test_fields_without_a_usable_number_are_named(changed: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_ask({**FORM, **changed}).sample(MODEL, Limits())


def test_an_ask_from_code_has_defaults() -> None:
    assert Ask("A bee.", "What?").sample(MODEL, Limits()).meta["depth"] == 0.5
