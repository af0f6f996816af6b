"""A task: summarise a long report; its gold spans are the sentences that a summary must take over."""

import random
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import mechdyn as md
from mechdyn.tasks.niah import random_uuid
from mechdyn.tasks.task import RETEST, SampleSet, option, task

_SUBJECTS = "red door,green tower,silver bridge,black letter,white garden,golden clock,blue boat,grey window".split(",")
_FILLER = "Nothing else of note was written down that week."


@task
@dataclass(frozen=True)
class Summary(md.Task):
    """Reports of `n_facts` findings among filler; a summary is judged by the share of the findings that it quotes."""

    name: ClassVar[str] = "summary"
    metrics: ClassVar[tuple[str, ...]] = ("recall",)
    primary: ClassVar[str] = "recall"
    axes: ClassVar[tuple[str, ...]] = ("length",)
    max_new_tokens: ClassVar[int] = 48
    has_retest: ClassVar[bool] = True

    n_facts: int = option(2, "Findings of a report.")

    def samples(self, wanted: SampleSet) -> list[dict[str, Any]]:
        return [self._spec(length, seed, seed) for (length, _), seed in zip(wanted.cells, wanted.seeds(), strict=True)]

    def retest(self, wanted: SampleSet) -> list[dict[str, Any]]:
        pairs = zip(wanted.cells, wanted.seeds(RETEST), wanted.seeds(), strict=True)
        return [self._spec(length, seed, facts) for (length, _), seed, facts in pairs]

    def _spec(self, length: int, seed: int, facts: int) -> dict[str, Any]:
        return {"length": length, "seed": seed, "facts": facts, "n_facts": self.n_facts}

    @classmethod
    def build(cls, model: Any, *, length: int, seed: int, facts: int, n_facts: int) -> md.Sample:
        rng, order = random.Random(facts), random.Random(seed)
        subjects = rng.sample(_SUBJECTS, n_facts)
        gold = [f"The {subject} code is {random_uuid(rng)}." for subject in subjects]
        sentences = [*gold, *[_FILLER] * (length // 24)]
        order.shuffle(sentences)
        text = " ".join(sentences)
        made = md.sample(model, context=text, question=f"What is the {subjects[0]} code?", spans=gold, answer="; ".join(gold))
        return replace(made, task=cls.name, meta={**made.meta, "length": length, "seed": seed})

    @classmethod
    def quality(cls, text: str, answer: str) -> dict[str, float]:
        gold = answer.split("; ")
        return {"recall": sum(sentence.split()[-1] in text for sentence in gold) / len(gold)}

    @classmethod
    def is_correct(cls, text: str, answer: str) -> bool:
        return cls.quality(text, answer)["recall"] > 0
