"""Needle in a haystack (paper, A.1): a random UUID in a long text, asked back (docs/definitions.md, "Needles")."""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from mechdyn.errors import InputError
from mechdyn.metrics import contains_answer, rouge_l
from mechdyn.paper.parts import NEEDLES
from mechdyn.tasks.chat import locate, positions_of, render
from mechdyn.tasks.fitting import ROOM, Fitted, check_request, fit_text, inserted, placed
from mechdyn.tasks.haystack import haystack_text, last_sentence_end
from mechdyn.tasks.made import HaystackTask, Place
from mechdyn.tasks.sample import Sample, Span
from mechdyn.tasks.task import option, task
from mechdyn.tasks.values import random_uuid

SYSTEM = "You are a helpful AI bot that answers questions for a user. Keep your response short and direct."
QUESTION = "What is the magic word?"
INSTRUCTION = "Don't give information outside the document or repeat your findings."
_CONTEXT = "Context:\n"


@task
@dataclass(frozen=True)
class Niah(HaystackTask):
    """A UUID in a haystack: accuracy is whether the answer holds it, heads are found by copy-paste (Eq. 1)."""

    name: ClassVar[str] = "niah"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "rouge_l")
    paper: ClassVar[str] = NEEDLES

    needle: str | None = option(None, "A needle of your own in every sample; the expected answer is then all of it.")
    question: str | None = option(None, "What to ask for that needle.")

    def __post_init__(self) -> None:
        check_texts(self.needle, self.question)

    def make(self, tokenizer: Any, place: Place) -> Sample:
        return niah(tokenizer, **asdict(place), haystack=self.haystack, needle=self.needle, question=self.question)

    @classmethod
    def quality(cls, text: str, answer: str) -> dict[str, float]:
        return {"accuracy": contains_answer(text, answer), "rouge_l": rouge_l(text, answer)}

    @classmethod
    def is_correct(cls, text: str, answer: str) -> bool:
        """By accuracy alone: what makes ROUGE takes a second to import."""
        return contains_answer(text, answer) == 1.0


def needle_sentence(value: str) -> str:
    """The needle of A.1."""
    return f"The magic word is {value}."


def user_text(context: str, question: str, instruction: str) -> str:
    """The user's part of the prompt of A.1."""
    return f"{_CONTEXT}{context}\n\nQuestion:\n{question}\n\nInstruction:\n{instruction}"


def niah(
    model_or_tokenizer: Any,
    *,
    length: int,
    depth: float,
    seed: int = 0,
    haystack: str | Path | None = None,
    needle_seed: int | None = None,
    needle: str | None = None,
    question: str | None = None,
) -> Sample:
    """One needle-in-a-haystack sample of `length` prompt tokens.

    Args:
        model_or_tokenizer: what `load_model` returned, or a fast tokenizer.
        length: tokens of the whole rendered prompt, special tokens included. It is met exactly where the tokenizer allows and never
            exceeded.
        depth: where in the haystack the needle goes, 0 (start) to 1 (end); moved back to the nearest earlier sentence end (0 is the start).
        seed: draws the haystack's starting point and the UUID.
        haystack: a text file or a folder of `.txt` files; the procedural prose when left out. Repeated when it is too short.
        needle_seed: draws the UUID instead of `seed`: the same needle in another haystack is a retest (docs/definitions.md,
            "Overlap").
        needle: a sentence of your own instead of the one with the UUID. The expected answer is then all of it, since nothing says which
            part answers the question.
        question: what to ask instead of "What is the magic word?".

    Raises:
        InputError: depth outside [0, 1], a length that cannot hold the needle, a length beyond the model's context, a haystack that is
            empty, binary or not there, or a needle or question that is blank.
    """
    tokenizer = getattr(model_or_tokenizer, "tokenizer", model_or_tokenizer)
    check_request(length, depth, getattr(model_or_tokenizer, "n_ctx", None))
    check_texts(needle, question)
    value = random_uuid(random.Random(f"needle-{seed if needle_seed is None else needle_seed}"))
    text = haystack_text(haystack, seed, length)
    asked = _Asked(needle_sentence(value) if needle is None else needle.strip(), QUESTION if question is None else question.strip(), depth)
    fitted = fit_text(lambda cut: _assemble(tokenizer, cut, asked), text, length)
    return _sample(
        fitted,
        asked,
        answer=value if needle is None else asked.needle,
        meta={
            "length": length,
            "depth": depth,
            "seed": seed,
            "needle_seed": seed if needle_seed is None else needle_seed,
            "haystack": "procedural" if haystack is None else Path(haystack).name,
        },
    )


def niah_in(model_or_tokenizer: Any, haystack: str, *, needle: str, question: str, depth: float, room: int = ROOM) -> Sample:
    """A needle of your own in a text of your own, neither cut nor repeated: `niah` for what someone types.

    White space in the haystack is left as it is; an empty haystack leaves the needle alone in the context.

    Raises:
        InputError: what `niah` refuses, or a prompt that leaves the model fewer than `room` positions to generate into.
    """
    tokenizer = getattr(model_or_tokenizer, "tokenizer", model_or_tokenizer)
    n_ctx = getattr(model_or_tokenizer, "n_ctx", None)
    check_texts(needle, question)
    check_request(1, depth, None)
    asked = _Asked(needle.strip(), question.strip(), depth)
    fitted = _assemble(tokenizer, haystack.strip(), asked)
    n_tokens = len(fitted)
    if n_ctx is not None and n_tokens + room > n_ctx:
        raise InputError(
            f"the prompt has {n_tokens} tokens, and the model holds {n_ctx}, {room} of them for the answer; "
            f"shorten the haystack by at least {n_tokens + room - n_ctx} tokens"
        )
    return _sample(fitted, asked, answer=asked.needle, meta={"length": n_tokens, "depth": depth, "haystack": "own"})


def check_texts(needle: str | None, question: str | None) -> None:
    """Refuse a needle or a question that is there but blank."""
    for name, text in (("needle", needle), ("question", question)):
        if text is not None and not text.strip():
            raise InputError(f"the {name} is empty; give a sentence")


@dataclass(frozen=True)
class _Asked:
    needle: str
    question: str
    depth: float


def _sample(fitted: Fitted, asked: _Asked, answer: str, meta: dict[str, Any]) -> Sample:
    return Sample(
        task="niah",
        prompt=fitted.prompt.text,
        tokens=fitted.prompt.tokens,
        needle_spans=fitted.evidence,
        needle_positions=positions_of(fitted.prompt, fitted.evidence),
        context_span=fitted.context_span,
        question=asked.question,
        answer=answer,
        meta=meta,
    )


def _assemble(tokenizer: Any, haystack: str, asked: _Asked) -> Fitted:
    """Insert the needle at the sentence end at or before `depth`, render, and find it again in the rendered text."""
    context, spans = inserted(haystack, [(asked.needle, asked.depth)], last_sentence_end)
    return in_frame(tokenizer, context, asked.question, spans)


def in_frame(
    tokenizer: Any, context: str, question: str, evidence: Sequence[Span], others: Sequence[Span] = (), instruction: str = INSTRUCTION
) -> Fitted:
    """A context and a question in the frame of A.1, rendered; spans are characters of the context."""
    prompt = render(tokenizer, SYSTEM, user_text(context, question, instruction))
    start = locate(prompt, f"{_CONTEXT}{context}", "haystack") + len(_CONTEXT)
    return placed(prompt, start, context, evidence, others)
