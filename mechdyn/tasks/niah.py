"""Needle in a haystack (paper, A.1): a random UUID in a long text, asked back (docs/definitions.md, "Needles")."""

import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from mechdyn.errors import InputError
from mechdyn.hashing import content_hash
from mechdyn.metrics import contains_answer, rouge_l
from mechdyn.paper.parts import NEEDLES
from mechdyn.tasks.chat import Prompt, locate, positions_of, render
from mechdyn.tasks.haystack import haystack_text, read_haystack, sentence_ends
from mechdyn.tasks.sample import Sample
from mechdyn.tasks.task import RETEST, SampleSet, Spec, Task, option, prepared, task

SYSTEM = "You are a helpful AI bot that answers questions for a user. Keep your response short and direct."
QUESTION = "What is the magic word?"
INSTRUCTION = "Don't give information outside the document or repeat your findings."
_CONTEXT = "Context:\n"
_FIT_ATTEMPTS = 24
ROOM = 64
"""Positions that must be left for the answer."""


@task
@dataclass(frozen=True)
class Niah(Task):
    """A UUID in a haystack: accuracy is whether the answer holds it, heads are found by copy-paste (Eq. 1)."""

    name: ClassVar[str] = "niah"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "rouge_l")
    axes: ClassVar[tuple[str, ...]] = ("length", "depth")
    has_retest: ClassVar[bool] = True
    paper: ClassVar[str] = NEEDLES

    haystack: str | None = option(None, "Text file or folder of .txt files; procedural prose when left out.")
    needle: str | None = option(None, "A needle of your own in every sample; the expected answer is then all of it.")
    question: str | None = option(None, "What to ask for that needle.")
    digest: str | None = prepared(None)

    def prepare(self, model: Any, room: int) -> Task:
        """Hash the haystack: files of one name may differ."""
        return self if self.haystack is None else replace(self, digest=content_hash(read_haystack(self.haystack)))

    def samples(self, wanted: SampleSet) -> list[Spec]:
        return [self._spec(*cell, seed) for cell, seed in zip(wanted.cells, wanted.seeds(), strict=True)]

    def retest(self, wanted: SampleSet) -> list[Spec]:
        """The same needles in other haystacks, each two depths further on."""
        depths = list(dict.fromkeys(depth for _, depth in wanted.cells))
        needles, seeds = wanted.seeds(), wanted.seeds(RETEST)
        return [
            self._spec(length, depths[(depths.index(depth) + 2) % len(depths)], seed) | {"needle_seed": needle}
            for (length, depth), needle, seed in zip(wanted.cells, needles, seeds, strict=True)
        ]

    def single(self, *, length: int, depth: float, seed: int, named: str | None = None) -> Spec:
        return self._spec(length, depth, seed) if named is None else super().single(length=length, depth=depth, seed=seed, named=named)

    def _spec(self, length: int, depth: float, seed: int) -> Spec:
        files = {} if self.haystack is None else {"haystack": self.haystack, "haystack_digest": self.digest}
        texts = {"needle": self.needle, "question": self.question}
        own = {name: text for name, text in texts.items() if text is not None}
        return {"length": length, "depth": depth, "seed": seed, **files, **own}

    @classmethod
    def build(cls, model_or_tokenizer: Any, *, haystack_digest: str | None = None, **spec: Any) -> Sample:
        """What `niah` makes; the digest only tells files of one name apart in a unit's key."""
        return niah(model_or_tokenizer, **spec)

    @classmethod
    def quality(cls, text: str, answer: str) -> dict[str, float]:
        return {"accuracy": contains_answer(text, answer), "rouge_l": rouge_l(text, answer)}

    @classmethod
    def is_correct(cls, text: str, answer: str) -> bool:
        return contains_answer(text, answer) == 1.0

    @classmethod
    def cell(cls, meta: Mapping[str, Any]) -> tuple[int, float]:
        return meta["length"], meta["depth"]


def needle_sentence(value: str) -> str:
    """The needle of A.1."""
    return f"The magic word is {value}."


def user_text(context: str, question: str, instruction: str) -> str:
    """The user's part of the prompt of A.1."""
    return f"{_CONTEXT}{context}\n\nQuestion:\n{question}\n\nInstruction:\n{instruction}"


def random_uuid(rng: random.Random) -> str:
    """A UUID4 from the generator, so that a seed fixes it."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


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
    fitted = _fit(tokenizer, text, asked, length)
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
    n_tokens = len(fitted.prompt.tokens)
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


def check_request(length: int, depth: float, n_ctx: int | None, room: int = ROOM) -> None:
    """Refuse what no haystack could satisfy."""
    if not 0.0 <= depth <= 1.0:
        raise InputError(f"depth must lie in [0, 1], got {depth}; 0 puts the needle at the start of the haystack, 1 at its end")
    if length < 1:
        raise InputError(f"length must be a positive number of tokens, got {length}")
    if n_ctx is not None and n_ctx <= room:
        raise InputError(f"the model holds {n_ctx} positions and the answer may take {room}, so no prompt fits; take a model with more")
    if n_ctx is not None and length + room > n_ctx:
        raise InputError(
            f"length {length} is beyond the model's context of {n_ctx} positions, {room} for the answer; ask for at most {n_ctx - room}"
        )


@dataclass(frozen=True)
class _Asked:
    needle: str
    question: str
    depth: float


@dataclass(frozen=True)
class _Fitted:
    prompt: Prompt
    needle_span: tuple[int, int]
    context_span: tuple[int, int]


def _sample(fitted: _Fitted, asked: _Asked, answer: str, meta: dict[str, Any]) -> Sample:
    spans = (fitted.needle_span,)
    return Sample(
        task="niah",
        prompt=fitted.prompt.text,
        tokens=fitted.prompt.tokens,
        needle_spans=spans,
        needle_positions=positions_of(fitted.prompt, spans),
        context_span=fitted.context_span,
        question=asked.question,
        answer=answer,
        meta=meta,
    )


def _fit(tokenizer: Any, text: str, asked: _Asked, length: int) -> _Fitted:
    """Cut `text` so that the rendered prompt has `length` tokens, or as many fewer as the tokenizer forces.

    One character more never makes a prompt much longer, so the cut is searched by secant steps between a cut known to be short enough and
    one known to be too long; the best that fits is kept.
    """
    low, best = 0, _assemble(tokenizer, "", asked)
    if len(best.prompt.tokens) > length:
        raise InputError(
            f"length {length} cannot hold the needle: the prompt without any haystack has {len(best.prompt.tokens)} tokens; "
            "ask for a greater length"
        )
    high, high_tokens = None, 0
    guess = max(1, int(3.5 * (length - len(best.prompt.tokens))))
    for _ in range(_FIT_ATTEMPTS):
        while len(text) < guess:
            text = f"{text} {text}"
        candidate = _assemble(tokenizer, text[:guess], asked)
        n_tokens = len(candidate.prompt.tokens)
        if n_tokens <= length:
            low, best = max(low, guess), max(best, candidate, key=lambda fitted: len(fitted.prompt.tokens))
        else:
            high, high_tokens = guess, n_tokens
        if n_tokens == length:
            return best
        guess = _next_cut(low, len(best.prompt.tokens), high, high_tokens, length)
        if guess <= low or (high is not None and guess >= high):
            break
    return best


def _next_cut(low: int, low_tokens: int, high: int | None, high_tokens: int, length: int) -> int:
    if high is None:
        return low + max(4, int(4.5 * (length - low_tokens)))
    if high - low < 16 or high_tokens == low_tokens:
        return (low + high) // 2
    share = (length - low_tokens) / (high_tokens - low_tokens)
    return min(max(low + 1, low + round(share * (high - low))), high - 1)


def _assemble(tokenizer: Any, haystack: str, asked: _Asked) -> _Fitted:
    """Insert the needle at the sentence end at or before `depth`, render, and find it again in the rendered text."""
    target = round(asked.depth * len(haystack))
    at = max((end for end in sentence_ends(haystack) if end <= target), default=0)
    before, after = haystack[:at], haystack[at:].lstrip()
    context = " ".join(part for part in (before, asked.needle, after) if part)
    prompt = render(tokenizer, SYSTEM, user_text(context, asked.question, INSTRUCTION))
    start = locate(prompt, f"{_CONTEXT}{context}", "haystack") + len(_CONTEXT)
    needle_start = start + (len(before) + 1 if before else 0)
    return _Fitted(prompt, (needle_start, needle_start + len(asked.needle)), (start, start + len(context)))
