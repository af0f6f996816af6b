"""A tokenizer whose tokens are given by hand, so that a test knows every boundary."""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

SPECIAL = "</s>"


class Pieces:
    """Token i is the i-th piece of bytes or text; `</s>` is special."""

    def __init__(self, pieces: Sequence[str | bytes]) -> None:
        self._pieces = [piece.encode() if isinstance(piece, str) else piece for piece in pieces]

    @property
    def tokens(self) -> Int[Tensor, " step"]:
        return torch.arange(len(self._pieces))

    def decode(self, ids: list[int], *, skip_special_tokens: bool, clean_up_tokenization_spaces: bool) -> str:
        assert skip_special_tokens and not clean_up_tokenization_spaces
        return b"".join(self._pieces[index] for index in ids if self._pieces[index] != SPECIAL.encode()).decode("utf-8", errors="replace")
