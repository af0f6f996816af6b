"""The network of a probe."""

from dataclasses import dataclass
from itertools import pairwise

from jaxtyping import Float

from mechdyn.errors import InputError
from mechdyn.tensors import Tensor, torch

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

    def build(self) -> "torch.nn.Sequential":
        """The network, its weights drawn from torch's global generator."""
        layers: list[torch.nn.Module] = []
        for width, next_width in pairwise((self.d_model, *self.hidden)):
            layers += [torch.nn.Linear(width, next_width), torch.nn.ReLU(), torch.nn.Dropout(self.dropout)]
        return torch.nn.Sequential(*layers, torch.nn.Linear((self.d_model, *self.hidden)[-1], self.n_outputs))


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


@dataclass(frozen=True)
class AsymmetricLoss:
    """Focal loss with a harder focus on negatives, and easy negatives left out (Ridnik et al. 2021, Eq. 4 to 7).

        p = sigmoid(logit),   p_m = max(p - clip, 0)
        loss = - Σ  y (1 - p)^γ+ log p  +  (1 - y) p_m^γ- log(1 - p_m)

    summed over rows and heads, as their published code does; in [0, inf). Logarithms are of at least `eps`. Their code has the loss in two
    classes of the same values and defaults (`AsymmetricLoss` and the memory-saving `AsymmetricLossOptimized`) which differ in one switch:
    by default the first stops gradients at the focal weights and the second lets them through. Here they flow through, as in the second
    and as the formula says. The paper under test does not say which of the two it took, and states no other settings. With both γ and
    the clip 0 it is binary cross-entropy, so that a linear probe is a logistic regression.
    """

    gamma_negative: float = 4.0
    gamma_positive: float = 1.0
    clip: float = 0.05
    eps: float = 1e-8
    per_row: bool = False
    """Divide by the number of rows, so that the step size does not depend on the size of a batch."""

    def __post_init__(self) -> None:
        if min(self.gamma_negative, self.gamma_positive) < 0 or not 0 <= self.clip < 1 or not 0 < self.eps < 1:
            raise InputError(f"an asymmetric loss needs both gammas 0 or more, a clip in [0, 1) and an eps in (0, 1), got {self}")

    def __call__(self, logits: Float[Tensor, "row head"], target: Float[Tensor, "row head"]) -> Float[Tensor, ""]:
        """The loss of a batch; targets are 0 or 1."""
        positive = torch.sigmoid(logits)
        not_negative = (positive - self.clip).clamp(min=0.0)
        # 1 - p by its own sigmoid: the difference would lose the small probabilities that the logarithm magnifies.
        negative = (torch.sigmoid(-logits) + self.clip).clamp(max=1.0)
        # Focal weights are kept off 0, where a gamma below 1 has no gradient; the logarithm beside them is 0 there.
        gain = torch.sigmoid(-logits).clamp(min=self.eps) ** self.gamma_positive * positive.clamp(min=self.eps).log()
        rejection = not_negative.clamp(min=self.eps) ** self.gamma_negative * negative.clamp(min=self.eps).log()
        total = -(target * gain + (1 - target) * rejection).sum()
        return total / len(logits) if self.per_row else total


CROSS_ENTROPY = AsymmetricLoss(gamma_negative=0.0, gamma_positive=0.0, clip=0.0, per_row=True)
