"""What is read off a step for people: the strongest sources of an attention row, the text of each token in its place."""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Bool, Float, Int

from mechdyn.tensors import Tensor, torch
from mechdyn.traces.trace import Sources

KEEP_SOURCES = 16
"""Sources a head and step that a view shows: 5,000 tokens x 40 steps x 1,024 heads come to some 4 MB."""
_PLACES = 31
"""Bits of a sort key that hold the position: enough for two thousand million keys."""

StepSources = tuple[Int[Tensor, "layer head rank"], Float[Tensor, "layer head rank"]]


def strongest(patterns: Sequence[Float[Tensor, "row head key"]], row: int, visible: Bool[Tensor, " key"], k: int) -> StepSources:
    """Positions and weights of the `k` largest weights of every head of one row of a batch; positions count visible keys only."""
    found = [_of_layer(pattern[row][:, visible.to(pattern.device)].float(), k) for pattern in patterns]
    # One copy from the device a step, not one a layer.
    positions, weights = (torch.stack(parts).cpu() for parts in zip(*found, strict=True))
    missing = k - positions.shape[-1]
    return torch.nn.functional.pad(positions.int(), (0, missing), value=-1), torch.nn.functional.pad(weights.half(), (0, missing))


def as_sources(steps: Sequence[StepSources]) -> Sources | None:
    """The sources of a generation from those of its steps; None where there is no step."""
    if not steps:
        return None
    return Sources(torch.stack([positions for positions, _ in steps]), torch.stack([weights for _, weights in steps]))


def _of_layer(pattern: Float[Tensor, "head key"], k: int) -> tuple[Int[Tensor, "head found"], Float[Tensor, "head found"]]:
    """One layer's, as many as it has keys."""
    n_keys = pattern.shape[1]
    places = torch.arange(n_keys, device=pattern.device)
    # The bits of floats that are not negative sort as the floats do; the place below them gives ties to the lower position.
    keys = (pattern.contiguous().view(torch.int32).long() << _PLACES) | (2**_PLACES - 1 - places)
    order = keys.topk(min(k, n_keys), dim=1).indices
    return order, pattern.gather(1, order)


_MOST_PARTS = 4
"""A character has at most four bytes, so at most four byte-level tokens."""
_HALF = "\ufffd"


def texts_in_place(tokenizer: Any, ids: Sequence[int]) -> tuple[str, ...]:
    """One text a token; together they read as the decoded sequence.

    A token is decoded behind the one before it, so that it keeps the space that SentencePiece drops at the start of a text. Of a character
    that several byte-level tokens make up, the last one has the character and those before it �.
    """

    def decode(start: int, end: int) -> str:
        return tokenizer.decode(list(ids[start:end]), skip_special_tokens=False, clean_up_tokenization_spaces=False)

    texts: list[str] = []
    before, given = 0, 0
    head = ""
    for end in range(1, len(ids) + 1):
        whole = decode(before, end)
        if whole.endswith(_HALF) and end - given < _MOST_PARTS:
            texts.append(_HALF)
            continue
        text = whole[len(head) :] if whole.startswith(head) else decode(given, end)
        texts.append(text.lstrip(_HALF) or _HALF if end - given > 1 else text)
        before, given = given, end
        head = decode(before, given)
    return tuple(texts)
