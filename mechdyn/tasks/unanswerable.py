"""Questions whose supporting facts were taken out of the context: what does a model say where there is nothing to find?"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from mechdyn.errors import InputError
from mechdyn.tasks.absence import NOT_GIVEN, offered, says_absent
from mechdyn.tasks.hotpot_evaluation import answer_stands_in
from mechdyn.tasks.hotpot_items import check_item
from mechdyn.tasks.hotpotqa import HotpotQA, question_sample, reordered
from mechdyn.tasks.questions import INSTRUCTIONS
from mechdyn.tasks.sample import Sample
from mechdyn.tasks.task import Spec, option, task


@task
@dataclass(frozen=True)
class Unanswerable(HotpotQA):
    """Questions of a file in HotpotQA's layout, their supporting sentences emptied.

    An answer is right where it says that the context does not tell (`says_absent`). There is no needle. `meta["removed"]` are the facts
    taken out, `meta["gold_answer"]` is the answer that they gave, and `meta["answer_elsewhere"]` whether that still stands in another
    sentence or in a title: such questions, and those whose answer is yes or no, may be answered all the same.
    """

    name: ClassVar[str] = "unanswerable"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy",)
    primary: ClassVar[str] = "accuracy"
    has_context: ClassVar[bool] = False
    paper: ClassVar[str] = ""

    offer: bool = option(False, f'Let the instruction offer the answer "{NOT_GIVEN}".')

    def check(self) -> None:
        super().check()
        if not isinstance(self.offer, bool):
            raise InputError(f"offer must be true or false, got {self.offer!r}")

    def spec_of(self, name: str) -> Spec:
        return {**super().spec_of(name), "offer": self.offer}

    def of_item(self, model_or_tokenizer: Any, item: Mapping[str, Any], order: int | None = None) -> Sample:
        check_item(item)
        gone = {(title, index) for title, index in item["supporting_facts"]}
        context = [
            [title, ["" if (title, index) in gone else sentence for index, sentence in enumerate(sentences)]]
            for title, sentences in item["context"]
        ]
        instruction = offered(INSTRUCTIONS[self.style], self.offer)
        shown = reordered({**item, "context": context}, order)
        made = question_sample(model_or_tokenizer, shown, style=self.style, task=self.name, instruction=instruction, evidence=False)
        meta = {name: value for name, value in made.meta.items() if name not in ("facts", "distractors", "distractor_tokens")}
        left = [text for title, sentences in context for text in (title, *sentences)]
        elsewhere = answer_stands_in(item["answer"], left)
        about = {"removed": [list(fact) for fact in sorted(gone)], "gold_answer": item["answer"], "answer_elsewhere": elsewhere}
        return replace(made, answer=NOT_GIVEN, meta={**meta, **about})

    @classmethod
    def quality(cls, text: str, answer: str) -> dict[str, float]:
        return {"accuracy": float(says_absent(text))}

    @classmethod
    def is_correct(cls, text: str, answer: str) -> bool:
        return says_absent(text)
