"""Which prompts of a batch are read together, and what they share with one that was read before."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from torch import Tensor

from mechdyn.models.footprint import CHUNK

MIN_SHARED = 64
"""A common prefix shorter than this is not worth a copy, and prompts shorter than this are not worth a forward each."""


@dataclass(frozen=True)
class Group:
    """Neighbouring prompts of one length, which one forward reads.

    A prompt alone may begin like the one in row `source`: its first `n_shared` tokens are known.
    """

    rows: slice
    length: int
    source: int | None = None
    n_shared: int = 0


def groups_of(prompts: Sequence[Int[Tensor, " _"]], positions: Sequence[Int[Tensor, " _"]]) -> list[Group]:
    """The prompts in their order, those without a token left out: groups of `CHUNK` tokens at most that have nothing to copy."""
    groups: list[Group] = []
    lengths = np.array([len(prompt) for prompt in prompts])
    tokens, places = _beside(prompts), _beside(positions)
    for row, prompt in enumerate(prompts):
        if not len(prompt):
            continue
        source, n_shared = _most_alike(tokens[: row + 1], places[: row + 1], lengths[: row + 1])
        if n_shared >= MIN_SHARED:
            groups.append(Group(slice(row, row + 1), len(prompt), source, n_shared))
        elif groups and _goes_with(groups[-1], row, len(prompt)):
            groups[-1] = Group(slice(groups[-1].rows.start, row + 1), len(prompt))
        else:
            groups.append(Group(slice(row, row + 1), len(prompt)))
    return groups


def _goes_with(last: Group, row: int, length: int) -> bool:
    n_tokens = (row + 1 - last.rows.start) * length
    return last.rows.stop == row and last.length == length and last.source is None and n_tokens <= CHUNK


def _beside(rows: Sequence[Int[Tensor, " _"]]) -> Int[np.ndarray, "row pos"]:
    """The rows one below the other; what stands behind a shorter one's end is never read."""
    laid = np.zeros((len(rows), max(map(len, rows), default=0)), dtype=np.int64)
    for place, row in zip(laid, rows, strict=True):
        place[: len(row)] = row.cpu().numpy()
    return laid


def _most_alike(
    tokens: Int[np.ndarray, "row pos"], positions: Int[np.ndarray, "row pos"], lengths: Int[np.ndarray, " row"]
) -> tuple[int | None, int]:
    """The row before the last one that shares most of its beginning with it, tokens and positions, and how much."""
    if len(lengths) == 1:
        return None, 0
    same = (tokens[:-1] == tokens[-1]) & (positions[:-1] == positions[-1])
    n_shared = np.minimum(np.logical_and.accumulate(same, axis=1).sum(axis=1), np.minimum(lengths[:-1], lengths[-1]))
    most = int(n_shared.argmax())
    return (most, int(n_shared[most])) if n_shared[most] else (None, 0)
