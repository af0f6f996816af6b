"""How many positions each head may keep: HeadKV's formula, and the same with a total that holds to the position."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechdyn.errors import InputError
from mechdyn.heads import RankedHeads, shown

WINDOW, KERNEL, BETA = 8, 7, 1.5
"""SnapKV's window and pooling as HeadKV has them, and the β of its main table."""


@dataclass(frozen=True)
class Allotment:
    """How a budget is dealt out.

    Attributes:
        capacity: positions of the prompt a head on average, its window among them.
        beta: β; the larger, the smaller the part that scores deal out. At least 1.
        window: the prompt's last positions, which every head sees; fewer than `capacity`.
        kernel: neighbours over which attention is max-pooled before positions are ranked; odd.
    """

    capacity: int
    beta: float = BETA
    window: int = WINDOW
    kernel: int = KERNEL

    def __post_init__(self) -> None:
        if self.capacity < 1:
            raise InputError(f"the capacity must be at least 1 position a head, got {self.capacity}")
        check_beta(self.beta)
        if not 0 <= self.window <= self.capacity:
            raise InputError(f"the window is part of the capacity ({self.capacity}), got a window of {self.window}; take a smaller one")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise InputError(f"attention is pooled over an odd number of neighbours, got a kernel of {self.kernel}; 7 is usual, 1 is none")

    @classmethod
    def of_prompt(cls, fraction: float, n_prompt: int, *, beta: float = BETA, window: int = WINDOW, kernel: int = KERNEL) -> "Allotment":
        """A share of a prompt: at least one position, and a window of at most half the capacity, but of one position."""
        capacity = max(1, round(fraction * n_prompt))
        return cls(capacity, beta, max(1, min(window, capacity // 2)), kernel)

    @property
    def free(self) -> int:
        """B: positions a head beside the window."""
        return self.capacity - self.window

    @property
    def shared(self) -> int:
        """b = ⌊B / β⌋: those of B that go into the pool which scores deal out."""
        return int(self.free // self.beta)


def check_beta(beta: float) -> None:
    """Refuse a β that is no number from 1 on."""
    if not beta >= 1:
        raise InputError(f"β must be a number from 1 on (1 deals all out by score, a large one nothing), got {beta}")


def published_budgets(scores: Float[Tensor, "layer head"], how: Allotment) -> Int[Tensor, "layer head"]:
    """round(s · b · L · H + B − b), the window not counted: HeadKV's formula as it stands (NVIDIA's port and its own code agree).

    A head may get more than the prompt has, and the total is B · L · H but for rounding.

    Args:
        scores: of each head, none below 0, at least one above.
        how: capacity, β and window.

    Raises:
        InputError: scores that are not finite, or below 0, or all 0.
    """
    _check(scores)
    if not bool((scores > 0).any()):
        raise InputError("a budget is dealt out by scores, and all of them are 0")
    share = scores.double() / scores.double().sum()
    return (share * (how.shared * scores.numel()) + (how.free - how.shared)).round().long()


def budgets(scores: Float[Tensor, "layer head"], how: Allotment, n_keys: int) -> Int[Tensor, "layer head"]:
    """The same with a total of exactly B · L · H, where each head has `n_keys` positions before its window to keep.

    What a head is given beyond those is dealt out again among the others in proportion to their scores (evenly where those are 0), until
    nothing is left over; then whole positions by largest remainders, ties by (layer, head). If B is `n_keys` or more nothing is dropped.
    Scores that are all 0 deal evenly; scores below 0, which a forecast may give, count as 0.

    Raises:
        InputError: scores that are not finite.
    """
    scores = scores.double().clamp(min=0.0)
    _check(scores)
    flat = scores.flatten().numpy()
    total = how.free * len(flat)
    if how.free >= n_keys:
        return torch.full(scores.shape, n_keys, dtype=torch.long)
    wanted = _poured(flat, float(how.free - how.shared), float(how.shared * len(flat)), float(n_keys))
    whole = np.floor(wanted + 1e-9)
    left = total - int(whole.sum())
    order = np.lexsort((np.arange(len(flat)), -(wanted - whole)))
    order = order[whole[order] < n_keys]
    whole[order[:left]] += 1
    return torch.from_numpy(whole.astype(np.int64)).reshape(scores.shape)


def _poured(scores: Float[np.ndarray, " head"], floor: float, pool: float, limit: float) -> Float[np.ndarray, " head"]:
    """Floor and pool over heads that hold `limit` each; the pool fits."""
    held = np.full(len(scores), floor)
    open_ = np.ones(len(scores), dtype=bool)
    while pool > 1e-9:
        among = np.where(open_, scores, 0.0)
        share = among / among.sum() if among.sum() > 0 else open_ / open_.sum()
        given = held + pool * share
        over = open_ & (given >= limit)
        held = np.where(over, limit, given)
        pool = float((given - held)[over].sum())
        if not over.any():
            break
        open_ &= ~over
        # What the full ones could not take goes to those that are open, on top of what they have.
    return held


def scores_of(ranking: RankedHeads, n_layers: int, n_heads: int) -> Float[Tensor, "layer head"]:
    """The scores of a list that ranks every head of a model; below 0 counts as 0.

    Raises:
        InputError: a list of another model, one that lacks heads or of which only the order is known.
    """
    ranking = ranking.fit(n_layers, n_heads)
    if len(ranking.heads) < n_layers * n_heads:
        raise InputError(
            f"a budget is dealt out among all {n_layers * n_heads} heads, the list scores {len(ranking.heads)}; give a whole list"
        )
    found = torch.zeros(n_layers, n_heads)
    for (layer, head), score in zip(ranking.heads, ranking.scores, strict=True):
        found[layer, head] = score
    if bool(found.isnan().any()):
        raise InputError(f"a budget is dealt out by scores, and the list has an order alone ({shown(ranking.statistic or ranking.model)})")
    return found.clamp(min=0.0)


def _check(scores: Float[Tensor, "layer head"]) -> None:
    if not bool(scores.isfinite().all()) or bool((scores < 0).any()):
        raise InputError("the scores that deal a budget out must be finite and not below 0; give others")
