"""From the attention of chosen heads to the parts of the context that regeneration may see (paper, Algorithm 2, lines 5 to 13).

Pure functions. Positions count the context's tokens from 0, spans are half open. The paper names the steps and gives none of their numbers:
16 positions, clusters of positions closer than 8, and 32 tokens to either side are ours (docs/definitions.md, "Dynamic RAG").
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TypeAlias

from jaxtyping import Float

from mechdyn.errors import InputError
from mechdyn.heads import HeadSet
from mechdyn.tensors import Tensor, torch

Span: TypeAlias = tuple[int, int]
Scores: TypeAlias = Float[Tensor, " _context"]


def average_attention(attention: Float[Tensor, "layer head context"], heads: HeadSet) -> Float[Tensor, " context"]:
    """Mean attention of the heads on every context position.

    Raises:
        InputError: no head.
    """
    if not len(heads):
        raise InputError("attention is averaged over the chosen heads, got none; choose at least one")
    return attention[heads.mask().to(attention.device)].mean(dim=0)


def top_positions(scores: Scores, k: int) -> tuple[int, ...]:
    """The `k` strongest positions in ascending order, ties to the lowest position; all of a shorter context."""
    if k < 1:
        raise InputError(f"k is a number of context positions, at least 1, got {k}")
    order = torch.argsort(scores, descending=True, stable=True)
    return tuple(sorted(order[:k].tolist()))


def cluster(positions: Sequence[int], join: int) -> tuple[tuple[int, ...], ...]:
    """Ascending positions in groups: neighbours less than `join` apart are in one, however long the chain grows."""
    if join < 1:
        raise InputError(f"positions closer than `join` tokens are one cluster, join is at least 1, got {join}")
    groups = [list(positions[:1])]
    for before, position in pairwise(positions):
        if position - before < join:
            groups[-1].append(position)
        else:
            groups.append([position])
    return tuple(tuple(group) for group in groups if group)


def strongest(group: Sequence[int], scores: Scores) -> int:
    """The position of a cluster that stands for it: the most attended one, ties to the lowest."""
    return max(group, key=lambda position: (float(scores[position]), -position))


def expand(position: int, radius: int, length: int) -> Span:
    """`radius` tokens to either side of a position, clipped to a context of `length` tokens."""
    if radius < 0:
        raise InputError(f"a window reaches 0 or more tokens to either side, got {radius}")
    return max(0, position - radius), min(length, position + radius + 1)


def merge(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Ascending spans without overlaps; those that touch are one as well, which shows the same tokens."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return tuple(merged)


def choose_windows(scores: Scores, *, k: int, join: int, radius: int) -> tuple[Span, ...]:
    """The windows that Algorithm 2 leaves visible, ascending.

    Args:
        scores: averaged attention on each context position.
        k: strongest positions taken.
        join: positions closer than this are one cluster.
        radius: tokens shown to either side of each cluster's strongest position.

    Raises:
        InputError: an empty context, scores that are not finite, or numbers that mean nothing.
    """
    if not len(scores):
        raise InputError("the context has no token, so nothing can be retrieved from it; give a sample with a context")
    if not bool(scores.isfinite().all()):
        raise InputError("attention on the context holds NaN or infinite values; the model's forward pass failed")
    groups = cluster(top_positions(scores, k), join)
    return merge(expand(strongest(group, scores), radius, len(scores)) for group in groups)
