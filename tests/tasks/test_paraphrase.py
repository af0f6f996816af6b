"""Numbers in words: what is asked for stands nowhere in the prompt."""

import pytest

import mechdyn as md
from mechdyn.tasks.paraphrase import Paraphrase, in_words
from mechdyn.tasks.task import make_task

_ONES = {word: value for value, word in enumerate("one two three four five six seven eight nine".split(), start=1)}
_LATER = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TEENS = {word: value for value, word in enumerate(_LATER.split(), start=10)}
_TENS = {word: 10 * value for value, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2)}
_VALUES = {"zero": 0, **_ONES, **_TEENS, **_TENS}


def read(words: str) -> int:
    """The number that words name, read from left to right."""
    total = part = 0
    for word in words.replace("-", " ").split():
        if word == "thousand":
            total, part = 1000 * part, 0
        elif word == "hundred":
            part *= 100
        elif word != "and":
            part += _VALUES[word]
    return total + part


def test_words_name_the_number():
    numbers = [*range(0, 2100), *range(9_990, 10_010), *range(99_990, 100_110), *range(1_000, 1_000_000, 7_919), 999_999]
    assert [read(in_words(number)) for number in numbers] == numbers
    assert in_words(472_006) == "four hundred and seventy-two thousand and six"


@pytest.mark.parametrize("digits", [2, 3, 6])
def test_the_answer_stands_nowhere_in_the_prompt(digits):
    model = md.load_model("mini")
    for seed in range(5):
        sample = make_task(f"paraphrase:digits={digits}").sample(model, length=300, depth=0.4, seed=seed)
        needle = sample.prompt[slice(*sample.needle_spans[0])]
        assert len(sample.answer) == digits and sample.answer not in sample.prompt
        assert read(needle.removeprefix("The magic number is ").removesuffix(".")) == int(sample.answer)
    other = make_task(f"paraphrase:digits={digits}").sample(model, length=300, depth=0.6, seed=99, needle_seed=4)
    assert other.answer == sample.answer and other.prompt != sample.prompt


@pytest.mark.parametrize(
    "text, right",
    [("It is 472.", 1), ("472911", 0), ("It is 1472", 0), ("four hundred and seventy-two", 0), ("4,720", 0), ("", 0)],
)
def test_only_the_whole_number_in_digits_is_right(text, right):
    assert Paraphrase.quality(text, "472") == {"accuracy": right}
    assert Paraphrase.quality("It is 472,911.", "472911") == {"accuracy": 1}


def test_heads_are_found_by_locos():
    assert make_task("paraphrase").score == "locos"
