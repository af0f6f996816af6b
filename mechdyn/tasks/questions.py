"""Questions about a context of paragraphs: how they are put to a model, where each sentence lies, how answers are judged."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from mechdyn.errors import InputError
from mechdyn.metrics import exact_match, extract_answer, f1
from mechdyn.paper.parts import QUESTIONS
from mechdyn.tasks.sample import Span
from mechdyn.tasks.task import Task, option

RATIONALE_INSTRUCTION = 'Quote the sentences that lead to the answer, then finish with "So the answer is" and the answer.'
DIRECT_INSTRUCTION = "Give the answer alone, in as few words as possible."
ANSWER_MARK = "So the answer is"
INSTRUCTIONS = {"rationale": RATIONALE_INSTRUCTION, "direct": DIRECT_INSTRUCTION}


@dataclass(frozen=True)
class Questions(Task):
    """What tasks of questions share: EM and F1 of the extracted answer, heads found by the reasoning score (Eq. 2)."""

    metrics: ClassVar[tuple[str, ...]] = ("em", "f1")
    primary: ClassVar[str] = "f1"
    score: ClassVar[str] = "reasoning"
    has_context: ClassVar[bool] = True
    paper: ClassVar[str] = QUESTIONS

    style: str = option("rationale", "rationale or direct: how questions ask for the answer.")

    def check(self) -> None:
        super().check()
        check_style(self.style)

    @classmethod
    def quality(cls, text: str, answer: str) -> dict[str, float]:
        extracted = extract_answer(text)
        return {"em": exact_match(extracted, answer), "f1": f1(extracted, answer)}

    @classmethod
    def is_correct(cls, text: str, answer: str) -> bool:
        return exact_match(extract_answer(text), answer) == 1.0


def check_style(style: str) -> None:
    """Refuse a style that does not exist."""
    if style not in INSTRUCTIONS:
        raise InputError(f"style must be one of {', '.join(INSTRUCTIONS)}, got {style!r}")


def context_text(context: Sequence[Sequence[Any]]) -> str:
    """Paragraphs, (title, sentences) pairs, in order as `Title: sentence sentence`, a line each, every character of the sentences kept."""
    return lay_out(context)[0]


def lay_out(context: Sequence[Sequence[Any]]) -> tuple[str, list[list[Span]]]:
    """The text of `context_text`, and the characters of every sentence, by paragraph and index.

    Spans are noted while the text is put together, so a sentence that occurs twice, is empty or begins with odd white space has its own.
    """
    text = ""
    spans: list[list[Span]] = []
    for title, sentences in context:
        text += f"\n{title}: " if spans else f"{title}: "
        joined, within = _join(sentences)
        spans.append([(len(text) + start, len(text) + end) for start, end in within])
        text += joined
    return text, spans


def _join(sentences: Sequence[str]) -> tuple[str, list[Span]]:
    text, spans = "", []
    for sentence in sentences:
        if text and sentence and not text[-1].isspace() and not sentence[0].isspace():
            text += " "
        spans.append((len(text), len(text) + len(sentence)))
        text += sentence
    return text, spans
