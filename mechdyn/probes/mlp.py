"""The network of a probe."""

from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from mechdyn.errors import InputError

PAPER_HIDDEN = (8192, 4096, 4096)
"""A.5; the same for models of every size."""
_PAPER_DROPOUT = 0.1
SIZES = ("paper", "auto", "linear")


@dataclass(frozen=True)
class MLPShape:
    """A feed-forward network: dropout behind each hidden layer, one output a head. Without hidden layers it is linear.

    The paper does not name the activation; ReLU is ours.
    """

    d_model: int
    n_outputs: int
    hidden: tuple[int, ...] = PAPER_HIDDEN
    dropout: float = _PAPER_DROPOUT

    def __post_init__(self) -> None:
        if min(self.d_model, self.n_outputs, *self.hidden) < 1 or not 0 <= self.dropout < 1:
            raise InputError(f"a probe's layers need at least 1 unit each and a dropout in [0, 1), got {self}")

    def build(self) -> nn.Sequential:
        """The network, its weights drawn from torch's global generator."""
        layers: list[nn.Module] = []
        for width, next_width in pairwise((self.d_model, *self.hidden)):
            layers += [nn.Linear(width, next_width), nn.ReLU(), nn.Dropout(self.dropout)]
        return nn.Sequential(*layers, nn.Linear((self.d_model, *self.hidden)[-1], self.n_outputs))


def mlp_shape(size: str, d_model: int, n_outputs: int) -> MLPShape:
    """The network of a named size.

    Args:
        size: `paper`, [8192, 4096, 4096]; `auto`, 2 d, d, d with d = d_model: the paper's proportions at its d_model of 4096, so for that
            model the same network, and never more units a layer than the paper's; `linear`, no hidden layer.
        d_model: width of the hidden states.
        n_outputs: heads of the model.

    Raises:
        InputError: an unknown size.
    """
    if size not in SIZES:
        raise InputError(f"a probe's size is one of {', '.join(SIZES)}, got {size!r}")
    auto = tuple(min(width, paper) for width, paper in zip((2 * d_model, d_model, d_model), PAPER_HIDDEN, strict=True))
    return MLPShape(d_model, n_outputs, {"paper": PAPER_HIDDEN, "auto": auto, "linear": ()}[size])
