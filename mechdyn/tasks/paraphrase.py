"""A needle that cannot be copied: a number in words, asked for in digits.

Copy-paste (Eq. 1) sees a head only where the generated token stands in the needle. Here no token of the answer does, so it is blind, while
a head that carries the number into the answer still writes its digits: what LOCOS measures, which is this task's score.
"""

import random
import re
from dataclasses import dataclass
from typing import Any, ClassVar

from mechdyn.tasks.fitting import Fitted, fit_text, inserted
from mechdyn.tasks.haystack import haystack_text, last_sentence_end
from mechdyn.tasks.made import HaystackTask, Place
from mechdyn.tasks.niah import in_frame
from mechdyn.tasks.sample import Sample
from mechdyn.tasks.task import option, task
from mechdyn.tasks.values import check_count

QUESTION = "What is the magic number, written in digits?"
_MOST_DIGITS = 6
_SMALL = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen"),
    *("fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


@task
@dataclass(frozen=True)
class Paraphrase(HaystackTask):
    """A number in words in a haystack; an answer is right that has it in digits, whole. Commas between thousands are allowed."""

    name: ClassVar[str] = "paraphrase"
    score: ClassVar[str] = "locos"
    max_new_tokens: ClassVar[int] = 24

    digits: int = option(3, "How many digits the number has, 2 to 6.")

    def check(self) -> None:
        check_count("digits", self.digits, 2, _MOST_DIGITS)

    @classmethod
    def quality(cls, text: str, answer: str) -> dict[str, float]:
        found = re.search(rf"(?<!\d){re.escape(answer)}(?!\d)", re.sub(r"(?<=\d),(?=\d{3})", "", text))
        return {"accuracy": float(found is not None)}

    def make(self, tokenizer: Any, place: Place) -> Sample:
        number = random.Random(f"paraphrase-{place.needle_seed}").randint(10 ** (self.digits - 1), 10**self.digits - 1)
        needle = f"The magic number is {in_words(number)}."

        def assemble(filler: str) -> Fitted:
            context, spans = inserted(filler, [(needle, place.depth)], last_sentence_end)
            return in_frame(tokenizer, context, QUESTION, spans)

        fitted = fit_text(assemble, haystack_text(self.haystack, place.seed, place.length), place.length)
        return self.finished(fitted, place, question=QUESTION, answer=str(number))


def in_words(number: int) -> str:
    """A number from 0 to 999,999 in English words: `four hundred and seventy-two thousand and six`."""
    if number < 20:
        return _SMALL[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return f"{_TENS[tens]}-{_SMALL[ones]}" if ones else _TENS[tens]
    size, name = (100, "hundred") if number < 1000 else (1000, "thousand")
    many, rest = divmod(number, size)
    joint = " and " if rest < 100 else " "
    return f"{in_words(many)} {name}{joint}{in_words(rest)}" if rest else f"{in_words(many)} {name}"
