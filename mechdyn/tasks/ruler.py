"""RULER's needle tasks (Hsieh et al. 2024, section 3.1 and Table 2): several keys, several values, several queries.

Prompt, needle sentence and the beginning of the answer are those of the published code (`scripts/data/synthetic/constants.py`,
`niah.py`). Where we depart:

- one of the asked needles lies at a chosen depth (RULER draws all places), at a sentence end by characters (RULER counts sentences);
- key words are pairs from this project's own lists, and the text of `filler=text` is procedural prose or a file of yours (RULER's: Paul
  Graham's essays);
- the prompt has the asked length exactly, and the answer's room is not part of it.
"""

import random
from dataclasses import dataclass
from typing import Any, ClassVar

from mechdyn.errors import InputError
from mechdyn.tasks.chat import locate, render
from mechdyn.tasks.fitting import Fitted, fit_text, inserted, placed
from mechdyn.tasks.haystack import haystack_text, last_sentence_end
from mechdyn.tasks.made import HaystackTask, Place
from mechdyn.tasks.prose import Prose
from mechdyn.tasks.sample import Sample
from mechdyn.tasks.task import option, task
from mechdyn.tasks.values import KINDS, check_count, check_kind, draw_distinct, list_quality, listed

REPEATED = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."
VARIANTS = ("single", "multikey", "multivalue", "multiquery")
FILLERS = ("text", "repeat", "needles")
_NEEDLE = "One of the special magic {values} for {key} is: {value}."
_FRAME = (
    "{Some} special magic {values} {are} hidden within the following text. Make sure to memorize it. I will quiz you about the {values} "
    "afterwards.\n{context}\n{question}"
)
_QUESTION = "What {are_all} the special magic {values} for {query} mentioned in the provided text?"
_BEGUN = "The special magic {values} for {query} mentioned in the provided text {are}"
_MOST = 64


@task
@dataclass(frozen=True)
class Ruler(HaystackTask):
    """Magic values of keys, hidden in a text.

    The evidence is the sentences of what is asked; those of other keys are `distractors` (`meta["distractor_tokens"]`). The depth is that
    of the first asked sentence; the others lie anywhere.
    """

    name: ClassVar[str] = "ruler"
    metrics: ClassVar[tuple[str, ...]] = ("recall", "accuracy")
    primary: ClassVar[str] = "recall"
    max_new_tokens: ClassVar[int] = 128

    variant: str = option("multikey", "single, multikey (one of n keys is asked), multivalue (n values of a key), multiquery (n keys).")
    n: int = option(4, "How many keys or values; of no use to single.")
    keys: str = option("words", "words, numbers or uuids: what keys are.")
    values: str = option("numbers", "words, numbers or uuids: what values are.")
    filler: str = option("text", "text (procedural prose or --haystack), repeat (RULER's five sentences) or needles (of other keys).")

    def check(self) -> None:
        for name, given, choices in (("variant", self.variant, VARIANTS), ("filler", self.filler, FILLERS)):
            if given not in choices:
                raise InputError(f"{name} must be one of {', '.join(choices)}, got {given!r}")
        check_kind("keys", self.keys)
        check_kind("values", self.values)
        check_count("n", self.n, 1, _MOST)
        if self.haystack is not None and self.filler != "text":
            raise InputError(f"filler {self.filler!r} has no use for a haystack of yours; leave one of the two out")

    @classmethod
    def quality(cls, text: str, answer: str) -> dict[str, float]:
        return list_quality(text, answer)

    def make(self, tokenizer: Any, place: Place) -> Sample:
        asked, others = self._needles(place)
        question = self._worded(_QUESTION, asked)
        rng = random.Random(f"ruler-places-{place.seed}")
        depths = [place.depth, *(rng.random() for _ in range(sum(map(len, asked.values())) + len(others) - 1))]
        facts = [_sentence(self.values, key, value) for key, values in asked.items() for value in values]
        pieces = list(zip([*facts, *(_sentence(self.values, *other) for other in others)], depths, strict=True))
        joint = " " if self.filler == "text" else "\n"

        def assemble(filler: str) -> Fitted:
            context, spans = inserted(filler, pieces, last_sentence_end if joint == " " else _last_line_end, joint)
            frame = self._worded(_FRAME, asked).replace("{question}", question)
            user = frame.replace("{context}", context)
            prompt = render(tokenizer, None, user, self._worded(_BEGUN, asked))
            start = locate(prompt, user, "haystack") + frame.index("{context}")
            return placed(prompt, start, context, spans[: len(facts)], spans[len(facts) :])

        fitted = fit_text(assemble, self._filler(place, asked), place.length, joint=joint)
        answer = listed([value for values in asked.values() for value in values])
        return self.finished(fitted, place, question=question, answer=answer, distractors=[list(other) for other in others])

    def _needles(self, place: Place) -> tuple[dict[str, list[str]], list[tuple[str, str]]]:
        """The asked keys with their values, and the other keys with theirs."""
        rng = random.Random(f"ruler-{place.needle_seed}")
        n_asked = self.n if self.variant == "multiquery" else 1
        n_values = self.n if self.variant == "multivalue" else 1
        n_others = self.n - 1 if self.variant == "multikey" else 0
        keys = draw_distinct(KINDS[self.keys], n_asked + n_others, rng, what="keys")
        values = draw_distinct(KINDS[self.values], n_asked * n_values + n_others, rng, taken=keys)
        asked = {key: values[index * n_values : (index + 1) * n_values] for index, key in enumerate(keys[:n_asked])}
        return asked, list(zip(keys[n_asked:], values[n_asked * n_values :], strict=True))

    def _filler(self, place: Place, asked: dict[str, list[str]]) -> str | Prose:
        """More text than the prompt can hold, or text to be repeated."""
        if self.filler == "text":
            return haystack_text(self.haystack, place.seed, place.length)
        if self.filler == "repeat":
            return REPEATED
        rng = random.Random(f"ruler-filler-{place.seed}")
        n_lines = place.length // 8 + 1
        taken = {*asked, *(value for values in asked.values() for value in values)}
        pairs = ((_drawn(self.keys, rng, taken), _drawn(self.values, rng, taken)) for _ in range(n_lines))
        return "\n".join(_sentence(self.values, key, value) for key, value in pairs)

    def _worded(self, template: str, asked: dict[str, list[str]]) -> str:
        """The template's words for one answer or for several, as the published code changes them; {context} and {question} are left."""
        one = sum(map(len, asked.values())) == 1
        words = {
            "Some": "A" if one else "Some",
            "are": "is" if one else "are",
            "are_all": "is" if one else "are all",
            "values": self.values[:-1] if one else self.values,
            "query": _enumerated(list(asked)),
            "context": "{context}",
            "question": "{question}",
        }
        return template.format(**words)


def _sentence(values: str, key: str, value: str) -> str:
    return _NEEDLE.format(values=values, key=key, value=value)


def _enumerated(keys: list[str]) -> str:
    return f"{', '.join(keys[:-1])}, and {keys[-1]}" if len(keys) > 1 else keys[0]


def _last_line_end(filler: str, place: int) -> int:
    """The last line break at or before a place in a list; 0 where there is none."""
    return max(0, filler.rfind("\n", 0, place + 1))


def _drawn(kind: str, rng: random.Random, taken: set[str]) -> str:
    return draw_distinct(KINDS[kind], 1, rng, taken)[0]
