"""What a sample looks like to a retriever: the documents of its context, which of them hold the evidence, and its question's tokens.

Nothing is asked of a task beyond what every sample has (context, needles, question), so any task will do.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from jaxtyping import Bool, Int

from mechdyn.errors import InputError
from mechdyn.tasks.chat import Prompt, encode, token_spans
from mechdyn.tasks.haystack import sentence_ends
from mechdyn.tasks.sample import Sample, Span
from mechdyn.tensors import Tensor, torch

NULL_QUESTION = "N/A"
"""QRHead's question without content."""


@dataclass(frozen=True, eq=False)
class AskedDocuments:
    """A sample as documents and a question.

    Attributes:
        tokens: the prompt.
        null_tokens: the prompt with the question "N/A" in the question's place.
        documents: token positions [start, end) of each document, in the prompt's order.
        gold: which documents hold a needle, or a part of one.
        start: where the question's rows begin, in either prompt: the first token behind the context. They run to the prompt's end.
    """

    tokens: Int[Tensor, " pos"]
    null_tokens: Int[Tensor, " null_pos"]
    documents: tuple[Span, ...]
    gold: Bool[Tensor, " document"]
    start: int


def asked_documents(model_or_tokenizer: Any, sample: Sample) -> AskedDocuments:
    """Documents are the lines of the context where it has more than one (paragraphs), else its sentences.

    Raises:
        InputError: a sample without a question behind its context, with fewer than two documents or without a needle in one of them, or a
            prompt whose context is tokenised otherwise with another question.
    """
    tokenizer = getattr(model_or_tokenizer, "tokenizer", model_or_tokenizer)
    _, end = sample.context_span
    at = sample.prompt.find(sample.question, end) if sample.question else -1
    if at < 0:
        raise InputError("the question's rows are read, and this sample has no question behind its context; give samples with a question")
    prompt = _encoded(tokenizer, sample.prompt)
    if not torch.equal(prompt.tokens, sample.tokens):
        raise InputError("the sample was made with another tokenizer; make it with this model's")
    spans = document_spans(sample)
    places = token_spans(prompt, spans)
    kept = [index for index, (first, last) in enumerate(places) if last > first]
    gold = torch.tensor([_holds_needle(spans[index], sample.needle_spans) for index in kept], dtype=torch.bool)
    if len(kept) < 2 or not gold.any():
        raise InputError(f"documents are ranked, and this sample has {len(kept)}, {int(gold.sum())} with a needle; give longer contexts")
    start = next(position for position, (first, last) in enumerate(prompt.offsets) if first >= end and last > first)
    null = _encoded(tokenizer, sample.prompt[:at] + NULL_QUESTION + sample.prompt[at + len(sample.question) :])
    if not torch.equal(null.tokens[:start], prompt.tokens[:start]):
        raise InputError("the context is tokenised otherwise with another question behind it; put a line break between them")
    return AskedDocuments(prompt.tokens, null.tokens, tuple((places[index][0], places[index][1]) for index in kept), gold, start)


def document_spans(sample: Sample) -> tuple[Span, ...]:
    """Characters [start, end) of each document in the prompt: non-empty lines of the context, or of a context of one line its sentences."""
    start, end = sample.context_span
    text = sample.prompt[start:end]
    lines = _pieces(text, [index + 1 for index, letter in enumerate(text) if letter == "\n"])
    pieces = lines if len(lines) > 1 else _pieces(text, sentence_ends(text))
    return tuple((start + first, start + last) for first, last in pieces)


def _pieces(text: str, cuts: list[int]) -> list[Span]:
    """What lies between cuts, without the white space around it."""
    edges = sorted({0, len(text), *cuts})
    found = []
    for first, last in pairwise(edges):
        piece = text[first:last]
        if piece.strip():
            found.append((first + len(piece) - len(piece.lstrip()), first + len(piece.rstrip())))
    return found


def _holds_needle(document: Span, needles: tuple[Span, ...]) -> bool:
    return any(document[0] < end and start < document[1] for start, end in needles)


def _encoded(tokenizer: Any, text: str) -> Prompt:
    return encode(tokenizer, text, add_special_tokens=getattr(tokenizer, "chat_template", None) is None)
