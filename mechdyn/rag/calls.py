"""The three things that the loop asks of the model, and what it gets back.

The loop is written as a plain algorithm that yields a call and is sent its result. A call is compared by its content (its context by
identity), so that two strategies that stand at the same point make the same call, which is then run once.
"""

from dataclasses import dataclass
from typing import TypeAlias

from jaxtyping import Float

from mechdyn.rag.visibility import Context
from mechdyn.rag.windows import Span
from mechdyn.tensors import Tensor


@dataclass(frozen=True)
class Write:
    """Continue the answer so far greedily, with only some spans of the context visible."""

    context: Context
    shown: tuple[Span, ...]
    """The visible spans of the context, as tokens of the prompt."""
    kept: tuple[int, ...]
    """The tokens of the answer so far."""
    limit: int
    """New tokens at most."""
    first_sentence: bool = False
    """Stop once the first new sentence is surely over."""
    rows: bool = False
    """Collect the last layer's attention over the new tokens."""
    cut: bool = False
    """Put the text of the spans into a real, shorter prompt instead of hiding the rest of the context."""


@dataclass(frozen=True)
class Observe:
    """Read the whole context and the answer so far, and report what the model shows there (Algorithm 2, lines 2 to 5)."""

    context: Context
    kept: tuple[int, ...]


@dataclass(frozen=True)
class Attend:
    """The last layer's attention of a forward pass over these tokens alone."""

    tokens: tuple[int, ...]


ModelCall: TypeAlias = Write | Observe | Attend


@dataclass(frozen=True, eq=False)
class Written:
    """New text.

    `stopped` says why it ended: `eos` (the model ended it), `length` (the limit), `sentence` (its first sentence is over) or `error` (NaN
    or infinite logits). The token that ends an answer is not among `tokens`.
    """

    tokens: tuple[int, ...]
    stopped: str
    entropy: Float[Tensor, " step"]
    """For each token the entropy, in nats, of the distribution that it was chosen from."""
    attention: Float[Tensor, "head query key"] | None = None
    """The last layer's attention over the new tokens, where the call asked for it."""

    @property
    def steps(self) -> int:
        """Forward passes behind the prefill: one a token, and the one that ended the text."""
        return len(self.tokens) + (self.stopped == "eos")


@dataclass(frozen=True, eq=False)
class Seen:
    """What the model shows at the position that generates the next token, with the whole context visible."""

    attention: Float[Tensor, "layer head context"]
    """Every head's attention on each token of the context."""
    scores: Float[Tensor, "layer head"]
    """Every head's retrieval score (Eq. 2, if the run has no other)."""
    hidden: Float[Tensor, " d_model"]
    """The final hidden state."""


CallResult: TypeAlias = Written | Seen | Float[Tensor, "head query key"]
