"""RULER's variable tracking (Hsieh et al. 2024, section 3.2): which variables have a number, through a chain of assignments?

A chain is `VAR ABCDE = 12345`, `VAR FGHIJ = VAR ABCDE`, and so on for some hops, scattered through a text in that order. Prompt and the
beginning of the answer are those of the published code (`scripts/data/synthetic/constants.py`, `variable_tracking.py`) with "assigned"
spelled right. Where we depart: no worked example precedes the question (it takes some 150 tokens, and looks like evidence), the text of
`filler=text` is procedural prose or a file of yours, and two chains never have one number.
"""

import random
import re
import string
from dataclasses import dataclass
from typing import Any, ClassVar

from mechdyn.errors import InputError
from mechdyn.tasks.chat import locate, render
from mechdyn.tasks.fitting import Fitted, fit_text, inserted, placed
from mechdyn.tasks.haystack import haystack_text, last_sentence_end
from mechdyn.tasks.made import HaystackTask, Place
from mechdyn.tasks.ruler import REPEATED
from mechdyn.tasks.sample import Sample
from mechdyn.tasks.task import option, task
from mechdyn.tasks.values import LIST_JOINT, check_count, draw_distinct, list_quality, listed

FILLERS = ("text", "repeat")
_FRAME = "Memorize and track the chain(s) of variable assignment hidden in the following text.\n\n{context}\nQuestion: {question}"
_QUESTION = "Find all variables that are assigned the value {value} in the text above."
_BEGUN = (
    "Answer: According to the chain(s) of variable assignment in the text above, {n} variables are assigned the value {value}, they are:"
)
_LETTERS = 5
_VARIABLE = re.compile(rf"\b[A-Z]{{{_LETTERS}}}\b")


@task
@dataclass(frozen=True)
class VariableTracking(HaystackTask):
    """Chains of assignments in a text, one of them asked for.

    The evidence is the statements of the asked chain, in order, `meta["variables"]` their variables; statements of other chains are
    `meta["distractor_tokens"]`. Where they lie is drawn, so depths are no choice; `meta["depth"]` is their mean place.
    """

    name: ClassVar[str] = "variable_tracking"
    metrics: ClassVar[tuple[str, ...]] = ("recall", "precision", "accuracy")
    primary: ClassVar[str] = "recall"
    axes: ClassVar[tuple[str, ...]] = ("length",)

    chains: int = option(1, "How many chains there are; one is asked for.")
    hops: int = option(4, "Assignments behind a chain's first: it has one variable more.")
    filler: str = option("text", "text (procedural prose or --haystack) or repeat (RULER's five sentences).")

    def check(self) -> None:
        check_count("chains", self.chains, 1, 32)
        check_count("hops", self.hops, 0, 32)
        if self.filler not in FILLERS:
            raise InputError(f"filler must be one of {', '.join(FILLERS)}, got {self.filler!r}")
        if self.haystack is not None and self.filler != "text":
            raise InputError(f"filler {self.filler!r} has no use for a haystack of yours; leave one of the two out")

    @classmethod
    def quality(cls, text: str, answer: str) -> dict[str, float]:
        """Recall as RULER counts it, and two metrics of ours.

        `precision` is the share of the variables named (words of five capitals) that the answer has, 0 where none is named; `accuracy` is
        1 where the text names all of them and no other.
        """
        found = list_quality(text, answer)
        named = set(_VARIABLE.findall(text))
        precision = len(named & set(answer.split(LIST_JOINT))) / len(named) if named else 0.0
        return {"recall": found["recall"], "precision": precision, "accuracy": float(found["recall"] == precision == 1.0)}

    @classmethod
    def is_correct(cls, text: str, answer: str) -> bool:
        return cls.quality(text, answer)["accuracy"] == 1.0

    def make(self, tokenizer: Any, place: Place) -> Sample:
        variables, value, statements = self._chains(place)
        question = _QUESTION.format(value=value)
        begun = _BEGUN.format(n=len(variables), value=value)
        rng = random.Random(f"variables-places-{place.seed}")
        depths = [depth for _ in range(self.chains) for depth in sorted(rng.random() for _ in variables)]
        pieces = list(zip(statements, depths, strict=True))
        before = _FRAME.index("{context}")

        def assemble(filler: str) -> Fitted:
            context, spans = inserted(filler, pieces, last_sentence_end)
            user = _FRAME.replace("{question}", question).replace("{context}", context)
            prompt = render(tokenizer, None, user, begun)
            start = locate(prompt, user, "haystack") + before
            return placed(prompt, start, context, spans[: len(variables)], spans[len(variables) :])

        filler = REPEATED if self.filler == "repeat" else haystack_text(self.haystack, place.seed, place.length)
        fitted = fit_text(assemble, filler, place.length)
        start, end = fitted.context_span
        middles = [(first + last) / 2 - start for first, last in fitted.evidence]
        depth = round(sum(middles) / len(middles) / (end - start), 6)
        return self.finished(fitted, place, question=question, answer=listed(variables), variables=variables, value=value, depth=depth)

    def _chains(self, place: Place) -> tuple[list[str], str, list[str]]:
        """The asked chain's variables and number, and the statements of all chains, those of the asked one first."""
        needle, others = random.Random(f"variables-{place.needle_seed}"), random.Random(f"variables-others-{place.seed}")
        size = self.hops + 1
        asked = draw_distinct(_variable, size, needle)
        (value,) = draw_distinct(_number, 1, needle)
        names = draw_distinct(_variable, size * (self.chains - 1), others, taken=asked)
        numbers = draw_distinct(_number, self.chains - 1, others, taken=[value])
        chains = [(asked, value), *((names[i * size : (i + 1) * size], number) for i, number in enumerate(numbers))]
        return asked, value, [statement for variables, number in chains for statement in _statements(variables, number)]


def _statements(variables: list[str], number: str) -> list[str]:
    sources = [number, *(f"VAR {variable}" for variable in variables)]
    return [f"VAR {variable} = {source}" for variable, source in zip(variables, sources, strict=False)]


def _variable(rng: random.Random) -> str:
    return "".join(rng.choices(string.ascii_uppercase, k=_LETTERS))


def _number(rng: random.Random) -> str:
    return str(rng.randint(10000, 99998))
