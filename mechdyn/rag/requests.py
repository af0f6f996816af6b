"""What a strategy asks of the model, and what it gets: the loop is written as a plain algorithm, and equal requests are run once.

A request is hashed by its content (its context by identity), so two strategies that stand at the same point ask the same question.
"""

from dataclasses import dataclass
from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor

from mechdyn.rag.visibility import Context
from mechdyn.rag.windows import Span


@dataclass(frozen=True)
class Write:
    """Continue the text `kept` greedily, with only the spans `shown` of the context visible."""

    context: Context
    shown: tuple[Span, ...]
    kept: tuple[int, ...]
    limit: int
    first_sentence: bool = False
    """Stop once the first new sentence is surely over."""
    rows: bool = False
    """Collect the last layer's attention over the new tokens."""
    cut: bool = False
    """Put the spans into a real prompt instead of hiding the rest."""


@dataclass(frozen=True)
class Observe:
    """Look at the whole context from behind `kept`: Algorithm 2, lines 2 to 5."""

    context: Context
    kept: tuple[int, ...]


@dataclass(frozen=True)
class Attend:
    """The last layer's attention of a forward over these tokens alone."""

    tokens: tuple[int, ...]


Request: TypeAlias = Write | Observe | Attend


@dataclass(frozen=True, eq=False)
class Written:
    """New tokens, why they ended (`eos`, `length`, `sentence` or `error`) and, a token each, the entropy of what it was chosen from.

    `attention` is the last layer's, over the new tokens, where the request asked for it. The token that ends an answer is not part of it.
    """

    tokens: tuple[int, ...]
    stopped: str
    entropy: Float[Tensor, " step"]
    attention: Float[Tensor, "head query key"] | None = None

    @property
    def steps(self) -> int:
        """Forward passes behind the prefill: one a token, and the one that ended the text."""
        return len(self.tokens) + (self.stopped == "eos")


@dataclass(frozen=True, eq=False)
class Seen:
    """Every head's attention on the context at the position that generates next, its score by Eq. 2, the final hidden state there."""

    attention: Float[Tensor, "layer head context"]
    scores: Float[Tensor, "layer head"]
    hidden: Float[Tensor, " d_model"]


Result: TypeAlias = Written | Seen | Float[Tensor, "head query key"]
