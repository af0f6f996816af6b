"""How many prompts make a batch. Imports no torch, so that options can name its defaults."""

from dataclasses import dataclass

BATCH_TOKENS = 8192
"""Prompt tokens of a batch, unless said otherwise: so many fill a processor's products, and keep keys and values to some hundred MB."""
BATCH_ROWS = 64
"""Samples times conditions of a batch, at most: more rows share the reading of the weights with no more gain."""
UNKNOWN_LENGTH = 1024
"""What a prompt whose length is not known beforehand counts for."""


def samples_together(length: int, n_conditions: int = 1, n_tokens: int = BATCH_TOKENS) -> int:
    """How many prompts of a length make a batch, each continued under all conditions; at least one."""
    return max(1, min(n_tokens // max(length, 1), BATCH_ROWS // n_conditions))


@dataclass(frozen=True)
class Tokens:
    """A size of batches: as many samples as so many tokens of prompt hold."""

    n: int = BATCH_TOKENS
