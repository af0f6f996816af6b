"""Needles among near duplicates, and questions for a needle that is not there.

What a needle in plain prose cannot show is whether heads find *the* needle or anything like it, and what they do where there is nothing to
find. Each needle here is `The magic word of the harbour is [UUID].`, decoys name other places, and the question names one place.
"""

import random
import re
from dataclasses import dataclass
from typing import Any, ClassVar

from mechdyn.errors import InputError
from mechdyn.metrics import contains_answer
from mechdyn.tasks.absence import NOT_GIVEN, offered, says_absent
from mechdyn.tasks.fitting import Fitted, fit_text, inserted
from mechdyn.tasks.haystack import haystack_text, last_sentence_end
from mechdyn.tasks.made import HaystackTask, Place
from mechdyn.tasks.niah import INSTRUCTION, in_frame
from mechdyn.tasks.prose import PLACES
from mechdyn.tasks.sample import Sample
from mechdyn.tasks.task import option, task
from mechdyn.tasks.values import check_count, random_uuid

MOST_EDITS = 8
_UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_HEX = "0123456789abcdef"
_VERSION, _VARIANT = 14, 19
"""Where a UUID4 has the digits that are not random."""


@task
@dataclass(frozen=True)
class Decoys(HaystackTask):
    """A needle with a key among decoys with other keys; or, `absent`, the decoys alone.

    Accuracy is whether the answer has the UUID. Where the needle is absent, an answer is right that says so and gives no UUID. The depth
    is the needle's, decoys lie anywhere; `meta["decoys"]` are their values, `meta["distractor_tokens"]` their tokens. A retest has the
    same needle and other decoys elsewhere.
    """

    name: ClassVar[str] = "decoys"

    n: int = option(3, "How many decoys.")
    edits: int = option(0, "Hexadecimal digits in which a decoy's UUID differs from the needle's; 0 for a UUID of its own.")
    absent: bool = option(False, "Leave the needle out: the question asks for a key that the text does not have.")
    offer: bool = option(False, f'Let the instruction offer the answer "{NOT_GIVEN}".')

    def check(self) -> None:
        check_count("n", self.n, 0, len(PLACES) - 1)
        check_count("edits", self.edits, 0, MOST_EDITS)
        for name, given in (("absent", self.absent), ("offer", self.offer)):
            if not isinstance(given, bool):
                raise InputError(f"{name} must be true or false, got {given!r}")

    @classmethod
    def quality(cls, text: str, answer: str) -> dict[str, float]:
        if answer == NOT_GIVEN:
            return {"accuracy": float(says_absent(text) and not _UUID.search(text.lower()))}
        return {"accuracy": contains_answer(text, answer)}

    def make(self, tokenizer: Any, place: Place) -> Sample:
        needle, others = random.Random(f"decoys-{place.needle_seed}"), random.Random(f"decoys-others-{place.seed}")
        key, value = needle.choice(PLACES), random_uuid(needle)
        keys = others.sample([each for each in PLACES if each != key], self.n)
        values = [edited(value, self.edits, others) if self.edits else random_uuid(others) for _ in keys]
        sentences = [keyed_sentence(*pair) for pair in zip(keys, values, strict=True)]
        pieces = [(sentence, others.random()) for sentence in sentences]
        if not self.absent:
            pieces.insert(0, (keyed_sentence(key, value), place.depth))
        n_facts = len(pieces) - self.n
        question = f"What is the magic word of the {key}?"

        def assemble(filler: str) -> Fitted:
            context, spans = inserted(filler, pieces, last_sentence_end)
            return in_frame(tokenizer, context, question, spans[:n_facts], spans[n_facts:], offered(INSTRUCTION, self.offer))

        fitted = fit_text(assemble, haystack_text(self.haystack, place.seed, place.length), place.length)
        answer = NOT_GIVEN if self.absent else value
        return self.finished(fitted, place, question=question, answer=answer, key=key, decoys=values)


def keyed_sentence(key: str, value: str) -> str:
    """A needle with a key."""
    return f"The magic word of the {key} is {value}."


def edited(value: str, n: int, rng: random.Random) -> str:
    """A UUID4 that differs from `value` in exactly `n` hexadecimal digits."""
    free = [place for place, digit in enumerate(value) if digit != "-" and place not in (_VERSION, _VARIANT)]
    digits = list(value)
    for place in rng.sample(free, n):
        digits[place] = rng.choice([digit for digit in _HEX if digit != value[place]])
    return "".join(digits)
