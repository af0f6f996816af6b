"""What every task produces: one prompt with the positions of its evidence."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from jaxtyping import Bool, Int

from mechdyn.hashing import content_hash
from mechdyn.tensors import Tensor, torch

Span = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Sample:
    """One prompt, tokenised, and where its needles are.

    `needle_spans` are character spans [start, end) of `prompt`; `needle_positions` the input positions of every token that overlaps one
    of them, ascending; `context_span` the characters of the haystack or of the context paragraphs, needles included. `meta` holds
    what made the sample (length, depth, seed ...), JSON values only; traces keep it.
    """

    task: str
    prompt: str
    tokens: Int[Tensor, " pos"]
    needle_spans: tuple[Span, ...]
    needle_positions: Int[Tensor, " needle"]
    context_span: Span
    question: str
    answer: str
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def needle_mask(self) -> Bool[Tensor, " pos"]:
        """True at the input positions of needle tokens."""
        mask = torch.zeros(len(self.tokens), dtype=torch.bool)
        mask[self.needle_positions] = True
        return mask

    @property
    def sentence_masks(self) -> Bool[Tensor, "sentence pos"]:
        """True at the tokens of each sentence that is scored by itself: `meta["facts"]`, then `meta["distractors"]`; for needles none."""
        spans = [*self.meta.get("fact_tokens", []), *self.meta.get("distractor_tokens", [])]
        masks = torch.zeros(len(spans), len(self.tokens), dtype=torch.bool)
        for mask, (start, end) in zip(masks, spans, strict=True):
            mask[start:end] = True
        return masks

    @cached_property
    def key(self) -> str:
        """A hash of the content: the same prompt, tokens and evidence have the same key on every machine."""
        content = {
            "task": self.task,
            "prompt": self.prompt,
            "tokens": self.tokens.tolist(),
            "needle_spans": [list(span) for span in self.needle_spans],
            "answer": self.answer,
        }
        return content_hash(content)

    def __repr__(self) -> str:
        about = ", ".join(f"{name}={value}" for name, value in self.meta.items() if not isinstance(value, list))
        return f"Sample({self.task}, {len(self)} tokens, {len(self.needle_positions)} of them needle; {about})"
