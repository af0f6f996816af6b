"""Long answers with citations: a rationale that names, by number, the sentences that each of its statements rests on.

Questions are those of a file in HotpotQA's layout (2WikiMultihopQA's is the same). Every sentence of the context has its number in brackets
in front, running through all paragraphs; numbers in brackets are how ALCE (Gao et al. 2023) has documents cited. The supporting facts are
the citations that should come, so they can be judged without a second model (ALCE asks one whether a statement follows).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from mechdyn.errors import InputError
from mechdyn.metrics import Match
from mechdyn.tasks.hotpot_items import check_item
from mechdyn.tasks.hotpotqa import HotpotQA, question_sample, reordered
from mechdyn.tasks.questions import ANSWER_MARK, Questions
from mechdyn.tasks.sample import Sample
from mechdyn.tasks.task import task

INSTRUCTION = (
    "Say in a few sentences what leads to the answer. Behind each of them cite the numbers of the sentences that it rests on, like [2][5]. "
    f'Then finish with "{ANSWER_MARK}" and the answer.'
)
_CITATION = re.compile(r"\s*\[(\d+(?:\s*[,;]\s*\d+)*)\]")
_GOLD = re.compile(r"(?:\s\[\d+\])+$")


@task
@dataclass(frozen=True)
class Citations(HotpotQA):
    """Questions to be answered with citations.

    EM and F1 are those of the answer without its citations. `citation_precision` is the share of the cited sentences that are supporting
    facts, `citation_recall` the share of the supporting facts that are cited, wherever in the text and however often; both are 0 where
    nothing is cited. The needle is each supporting sentence with its number, and a sample's answer ends in those numbers: `Delhi [3] [7]`.
    In a retest the paragraphs come in another order and each sentence keeps its number, so that the same answer is right.
    """

    name: ClassVar[str] = "citations"
    metrics: ClassVar[tuple[str, ...]] = ("em", "f1", "citation_f1", "citation_precision", "citation_recall")
    max_new_tokens: ClassVar[int] = 192
    paper: ClassVar[str] = ""

    def check(self) -> None:
        super().check()
        if self.style != "rationale":
            raise InputError(f"citations are asked for in a rationale, got the style {self.style!r}; leave the style out")

    def of_item(self, model_or_tokenizer: Any, item: Mapping[str, Any], order: int | None = None) -> Sample:
        check_item(item)
        shown, numbers = numbered(item)
        made = question_sample(model_or_tokenizer, reordered(shown, order), style=self.style, task=self.name, instruction=INSTRUCTION)
        meta = {name: value for name, value in made.meta.items() if name not in ("facts", "distractors")}
        evidence, others = ([[*each, numbers[tuple(each)]] for each in made.meta[name]] for name in ("facts", "distractors"))
        cited = " ".join(f"[{number}]" for number in sorted(number for _, _, number in evidence))
        return replace(made, answer=f"{item['answer']} {cited}", meta={**meta, "evidence": evidence, "other_sentences": others})

    @classmethod
    def quality(cls, text: str, answer: str) -> dict[str, float]:
        marked = _GOLD.search(answer)
        gold = citations_of(marked[0]) if marked else set()
        cited = citations_of(text)
        shared = len(cited & gold)
        found = Match.of(float(cited == gold), shared / len(cited) if cited else 0.0, shared / len(gold) if gold else 0.0)
        plain = Questions.quality(_CITATION.sub("", text), _GOLD.sub("", answer))
        return {**plain, "citation_f1": found.f1, "citation_precision": found.precision, "citation_recall": found.recall}

    @classmethod
    def is_correct(cls, text: str, answer: str) -> bool:
        return cls.quality(text, answer)["em"] == 1.0


def citations_of(text: str) -> set[int]:
    """The numbers in brackets in a text: `[2]`, `[2][5]` and `[2, 5]`."""
    return {int(number) for group in _CITATION.findall(text) for number in re.findall(r"\d+", group)}


def numbered(item: Mapping[str, Any]) -> tuple[dict[str, Any], dict[tuple[str, int], int]]:
    """The item with `[n] ` in front of every sentence that is not blank, and the number of each (title, index).

    Of a paragraph that comes twice, as 2WikiMultihopQA has some, each copy has numbers of its own, and those of the last are given; no
    supporting fact is in such a one.
    """
    numbers: dict[tuple[str, int], int] = {}
    context = []
    n = 0
    for title, sentences in item["context"]:
        shown = []
        for index, sentence in enumerate(sentences):
            if sentence.strip():
                n += 1
                numbers[title, index] = n
                words = sentence.lstrip()
                shown.append(f"{sentence[: len(sentence) - len(words)]}[{n}] {words}")
            else:
                shown.append(sentence)
        context.append([title, shown])
    return {**item, "context": context}, numbers
