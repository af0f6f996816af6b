"""Which prompts of a batch are read together, and what they share with one that was read before."""

from collections.abc import Sequence
from dataclasses import dataclass

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
    for row, prompt in enumerate(prompts):
        if not len(prompt):
            continue
        source, n_shared = _most_alike(prompts, positions, row)
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


def _most_alike(prompts: Sequence[Int[Tensor, " _"]], positions: Sequence[Int[Tensor, " _"]], row: int) -> tuple[int | None, int]:
    """The row before this one that shares most of its beginning, tokens and positions, and how much."""
    source, most = None, 0
    for other in range(row):
        n_shared = min(_in_common(prompts[other], prompts[row]), _in_common(positions[other], positions[row]))
        if n_shared > most:
            source, most = other, n_shared
    return source, most


def _in_common(first: Int[Tensor, " _"], second: Int[Tensor, " _"]) -> int:
    """How many leading numbers two rows share."""
    width = min(len(first), len(second))
    unlike = (first[:width] != second[:width]).nonzero()
    return int(unlike[0, 0]) if len(unlike) else width
