"""What the schedules here share: reading arguments, refusing sizes, masks of heads."""

from typing import Any

from jaxtyping import Bool

from mechdyn.errors import InputError
from mechdyn.tensors import Tensor, torch


def only(content: dict[str, Any], name: str) -> Any:
    """The one argument that there may be.

    Raises:
        TypeError: another one, or none.
    """
    if set(content) != {name}:
        raise TypeError(f"{name} and nothing else")
    return content[name]


def mask_of(indices: list[int], like: Bool[Tensor, "layer head"]) -> Bool[Tensor, "layer head"]:
    """True at these flat indices, in the shape of another mask."""
    mask = torch.zeros_like(like)
    mask.view(-1)[indices] = True
    return mask


def check_size(name: str, size: int, n_total: int) -> None:
    """Refuse a number of heads that the model does not have."""
    if not isinstance(size, int) or not 0 <= size <= n_total:
        raise InputError(f"{name} must lie between 0 and {n_total} (the heads of the model), got {size!r}")
