"""Where the largest of some numbers stands: what Eq. 1 asks of every attention row, and greedy decoding of every row of logits."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def first_largest(values: Float[Tensor, "*row n"]) -> Int[Tensor, "*row"]:
    """The index of each row's largest number, the first of several; NaN counts as the largest.

    On the CPU PyTorch's `argmax` takes some eight times as long as NumPy's, which was no small part of a step.
    """
    if values.device.type != "cpu" or values.dtype not in (torch.float32, torch.float64) or values.requires_grad:
        return values.argmax(dim=-1)  # documented to return the first of several maxima
    return torch.from_numpy(values.numpy().argmax(axis=-1))
