"""A model as it is, or as it is after something was done to it: what answers questions and says how likely a text is.

Whatever improves a model is a `Variant`; `mechdyn.improve.evaluation` holds it against another one, as a rule the model as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float, Int

from mechdyn.tasks.sample import Sample
from mechdyn.tensors import Tensor


@dataclass(frozen=True)
class Answer:
    """One generated answer and what it cost.

    Attributes:
        text: without special tokens.
        tokens: the ids, the one that ended it not among them.
        seconds: wall time; of a batch each answer has an equal share.
        cache_bytes: keys and values held at its end; None where that is not known.
        peak_bytes: most that its batch held on the device at once, weights included; None where the device does not tell (the CPU).
        stopped: `eos`, `length`, or `error` where the logits were no numbers.
    """

    text: str
    tokens: tuple[int, ...]
    seconds: float
    cache_bytes: int | None = None
    peak_bytes: int | None = None
    stopped: str = "eos"

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "tokens": list(self.tokens)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Answer":
        """What `as_json` wrote."""
        return cls(**{**values, "tokens": tuple(values["tokens"])})


@runtime_checkable
class Variant(Protocol):
    """Something that answers.

    `name` is what tables call it; no two in one evaluation are called the same.
    """

    name: str

    def answers(self, samples: Sequence[Sample], *, max_new_tokens: int | None = None) -> Sequence[Answer]:
        """An answer to each sample, in order, generated as one batch.

        `max_new_tokens` is how long they may be; the task's own number where left out.
        """
        ...

    def log_probs(self, tokens: Int[Tensor, " pos"]) -> Float[Tensor, "pos vocab"]:
        """Log probabilities, in nats, of the token that follows each position of a text, every token of the text being given.

        Row i is the distribution behind tokens 0 to i that the variant decodes by, on the CPU in float32.
        """
        ...
