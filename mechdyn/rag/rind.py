"""RIND: which sentences of a draft call for retrieval (DRAGIN, Su et al. 2024b; paper, Section 5 and Appendix C)."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from mechdyn.rag.sentences import Sentence


@dataclass(frozen=True)
class WordValue:
    """One word of a draft and what decides whether it flags its sentence."""

    text: str
    start: int
    """First token."""
    end: int
    """One past the last token."""
    attention: float
    entropy: float
    """Nats, mean over the word's tokens."""
    value: float
    content: bool
    sentence: int
    """Index into `Rind.sentences`."""


@dataclass(frozen=True)
class Rind:
    """RIND over one draft."""

    words: tuple[WordValue, ...]
    sentences: tuple[Sentence, ...]
    flagged: tuple[int, ...]
    """Indices of sentences with a content word strictly above the threshold, ascending."""
    threshold: float
    variant: str

    @property
    def first_flagged(self) -> int | None:
        """The first flagged sentence, None where none is."""
        return self.flagged[0] if self.flagged else None


def rind(
    tokenizer: Any,
    tokens: Int[Tensor, " step"],
    attention: Float[Tensor, "head query key"],
    entropy: Float[Tensor, " step"],
    *,
    threshold: float,
    variant: str = "code",
) -> Rind:
    """Value every word of a draft and flag sentences."""
    raise NotImplementedError
