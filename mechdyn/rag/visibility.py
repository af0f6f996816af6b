"""Which tokens of a prompt are its context, and the prompt with most of them hidden.

Hiding is exact: hidden tokens are left out of prefill and the others keep their position ids, so that no later key or value carries
anything of what is hidden.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Int

from mechdyn.errors import InputError
from mechdyn.rag.log import QuestionRecord
from mechdyn.rag.windows import Span, merge
from mechdyn.tasks.chat import Prompt, encode, encode_again, positions_of, token_spans
from mechdyn.tasks.sample import Sample
from mechdyn.tensors import Tensor, torch


@dataclass(frozen=True, eq=False)
class Context:
    """A sample and where its context is: the tokens from `start` to `end` of the prompt, each of which covers some of its characters.

    What stands before and behind it (system text, question, instruction) is always visible.
    """

    sample: Sample
    prompt: Prompt
    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start

    @property
    def offsets(self) -> tuple[Span, ...]:
        """Characters of the prompt that each of its tokens covers."""
        return self.prompt.offsets

    @property
    def whole(self) -> tuple[Span, ...]:
        """All of the context."""
        return ((self.start, self.end),)

    @property
    def passage(self) -> str:
        """The context's text."""
        start, end = self.sample.context_span
        return self.sample.prompt[start:end]

    def token_spans(self, pieces: Iterable[Span]) -> tuple[Span, ...]:
        """The tokens under pieces of `passage`: what a strategy that searches the text returns.

        Args:
            pieces: half-open spans of characters of `passage`, such as those of sentences, in any order.

        Returns:
            Spans of the prompt's tokens, ascending, overlaps merged. A token that lies partly in a piece belongs to it; an empty piece
            has none.

        Raises:
            InputError: a piece that is not in the passage.
        """
        offset, length = self.sample.context_span[0], len(self.passage)
        characters = []
        for first, last in pieces:
            if not 0 <= first <= last <= length:
                raise InputError(f"a piece of the context lies between its characters 0 and {length}, got {first} to {last}")
            if first < last:
                characters.append((offset + first, offset + last))
        found = token_spans(self.prompt, characters)
        return merge((start, end) for start, end in found if start < end)

    def characters(self, span: Span) -> Span:
        """The prompt's characters under some of its tokens, none outside the context."""
        start, end = self.sample.context_span
        return max(start, self.offsets[span[0]][0]), min(end, self.offsets[span[1] - 1][1])

    def text(self, span: Span) -> str:
        """The context's text under some of its tokens."""
        start, end = self.characters(span)
        return self.sample.prompt[start:end]


def find_context(tokenizer: Any, sample: Sample) -> Context:
    """Where the tokens of a sample's context are.

    Raises:
        InputError: a sample of another tokenizer, or one without context.
    """
    prompt = encode_again(tokenizer, sample)
    positions = positions_of(prompt, (sample.context_span,))
    if not len(positions):
        raise InputError("the sample has no context to retrieve from; take a task with one (world, hotpotqa)")
    return Context(sample, prompt, int(positions[0]), int(positions[-1]) + 1)


def record(context: Context) -> QuestionRecord:
    """What a run keeps of a sample beside its logs."""
    sample = context.sample
    return QuestionRecord(
        sample.key, sample.task, sample.question, sample.answer, sample.prompt, sample.context_span, len(context), sample.needle_spans
    )


def inside(context: Context, spans: Iterable[Span]) -> tuple[Span, ...]:
    """Spans of the prompt's tokens as windows of the context: ascending, none empty, overlaps merged.

    Raises:
        InputError: a span that is not in the context.
    """
    windows = [(int(start), int(end)) for start, end in spans]
    for start, end in windows:
        if not context.start <= start <= end <= context.end:
            raise InputError(f"a window must lie in the context, positions {context.start} to {context.end}, got {start} to {end}")
    return merge((start, end) for start, end in windows if start < end)


def visible_positions(context: Context, shown: Sequence[Span]) -> Int[Tensor, " visible"]:
    """Position ids of the prompt's tokens with only the spans `shown` of the context, ascending."""
    keep = torch.ones(len(context.sample), dtype=torch.bool)
    keep[context.start : context.end] = False
    for start, end in inside(context, shown):
        keep[start:end] = True
    return keep.nonzero().flatten()


def cut_prompt(tokenizer: Any, context: Context, shown: Sequence[Span]) -> Int[Tensor, " pos"]:
    """A real prompt whose context is the text of the spans, a line each: what a production pipeline would send."""
    if tuple(shown) == context.whole:
        return context.sample.tokens
    start, end = context.sample.context_span
    lines = "\n".join(context.text(span).strip() for span in shown)
    text = context.sample.prompt[:start] + lines + context.sample.prompt[end:]
    return encode(tokenizer, text, add_special_tokens=getattr(tokenizer, "chat_template", None) is None).tokens


def shown_facts(context: Context, shown: Sequence[Span]) -> tuple[float, ...]:
    """The share of each supporting fact's tokens that is visible."""
    visible = torch.zeros(len(context.sample), dtype=torch.bool)
    for start, end in shown:
        visible[start:end] = True
    facts = context.sample.meta.get("fact_tokens", [])
    return tuple(float(visible[start:end].float().mean()) for start, end in facts if end > start)
