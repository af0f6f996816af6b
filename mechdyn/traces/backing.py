"""What stands behind each generated token: its step's distribution in three numbers, and the attention to its like in the context."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jaxtyping import Bool, Float

from mechdyn.heads import Head
from mechdyn.tensors import Tensor, torch

if TYPE_CHECKING:
    from pandas import DataFrame

DIGITS = 6
"""Decimals that are kept: what is measured and what a store gives back are the same numbers."""


@dataclass(frozen=True, eq=False)
class Backing:
    """For every step of one answer, with every head on (of an ablated run: of each step's observing forward).

    Attributes:
        heads: the heads that were read, in the order of the columns of `mass` and `copies`.
        entropy: −Σ p ln p of the step's distribution over tokens, in nats.
        max_p: the probability of the likeliest token, in (0, 1].
        margin: that probability less the second likeliest's, in [0, 1].
        mass: Σ a_i over the positions i of the context whose token is the generated one: the head's attention to its like, in [0, 1].
        copies: whether Eq. 1 holds with the whole context as the needle: the head's strongest key lies in the context and is the generated
            token.

    The context is the haystack or the paragraphs, not system text, question or instruction; no needle is needed to know it.
    """

    heads: tuple[Head, ...]
    entropy: Float[Tensor, " step"]
    max_p: Float[Tensor, " step"]
    margin: Float[Tensor, " step"]
    mass: Float[Tensor, "step head"]
    copies: Bool[Tensor, "step head"]

    def to_frame(self) -> "DataFrame":
        """A pandas `DataFrame` with a row for each step and head: `step`, `layer`, `head`, `mass`, `copies` and the step's numbers."""
        from pandas import DataFrame

        steps = zip(self.entropy.tolist(), self.max_p.tolist(), self.margin.tolist(), self.mass.tolist(), self.copies.tolist(), strict=True)
        rows = [
            (step, *head, mass, copies, entropy, max_p, margin)
            for step, (entropy, max_p, margin, masses, copied) in enumerate(steps)
            for head, mass, copies in zip(self.heads, masses, copied, strict=True)
        ]
        return DataFrame(rows, columns=["step", "layer", "head", "mass", "copies", "entropy", "max_p", "margin"])

    def as_json(self) -> dict[str, Any]:
        """What a store keeps beside the trace; `copies` are the places in `heads`, step by step."""
        numbers = {name: _rounded(getattr(self, name)) for name in ("entropy", "max_p", "margin", "mass")}
        return {"heads": list(map(str, self.heads)), **numbers, "copies": [row.nonzero().flatten().tolist() for row in self.copies]}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Backing":
        """What `as_json` wrote."""
        heads = tuple(map(Head.parse, content["heads"]))
        copies = torch.zeros(len(content["copies"]), len(heads), dtype=torch.bool)
        for row, places in zip(copies, content["copies"], strict=True):
            row[places] = True
        entropy, max_p, margin = (torch.tensor(content[name], dtype=torch.float32) for name in ("entropy", "max_p", "margin"))
        mass = torch.tensor(content["mass"], dtype=torch.float32).reshape(len(copies), len(heads))
        return cls(heads, entropy, max_p, margin, mass, copies)


def rounded(values: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """To the decimals that are kept, as float32."""
    return (values.double() * 10**DIGITS).round().div(10**DIGITS).float()


def _rounded(values: Float[Tensor, "..."]) -> Any:
    return _each(values.double().tolist())


def _each(values: Any) -> Any:
    return [_each(value) for value in values] if isinstance(values, list) else round(values, DIGITS)
