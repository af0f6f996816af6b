"""Positions in a context."""

import numpy as np
from jaxtyping import Int


def stretches(positions: Int[np.ndarray, " position"]) -> list[tuple[int, int]]:
    """First and last of every stretch of consecutive positions, which ascend."""
    if not len(positions):
        return []
    pieces = np.split(positions, np.flatnonzero(np.diff(positions) > 1) + 1)
    return [(int(piece[0]), int(piece[-1])) for piece in pieces]
