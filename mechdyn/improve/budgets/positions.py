"""Which positions a head keeps: those that the prompt's last rows attend to most, and the window of those rows."""

import torch
from einops import reduce, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import max_pool1d

from mechdyn.decoding.read import read_rows
from mechdyn.errors import InputError
from mechdyn.improve.budgets.allocation import Allotment
from mechdyn.models.model import Model


def window_rows(model: Model, tokens: Int[Tensor, " pos"], window: int) -> Float[Tensor, "layer head query pos"]:
    """The attention rows of a prompt's last `window` positions, of every head; on the CPU.

    Raises:
        InputError: a prompt of fewer positions.
        UnsupportedModelError: a model without a cache.
    """
    n = len(tokens)
    if not 0 < window <= n:
        raise InputError(f"the rows of a prompt's last {window} positions are asked for, and it has {n} tokens")
    found = torch.zeros(model.n_layers, model.n_heads, window, n)

    def take(layer: int, queries: Int[Tensor, " query"], rows: Float[Tensor, "head query key"]) -> None:
        found[layer][:, queries - (n - window), : rows.shape[-1]] = rows.float().cpu()

    read_rows(model, tokens, torch.arange(n - window, n), take)
    return found


def pooled_attention(rows: Float[Tensor, "layer head query pos"], how: Allotment) -> Float[Tensor, "layer head rival"]:
    """What positions before the window are ranked by: the mean of the window's rows, max-pooled over neighbours (SnapKV, HeadKV).

    Without a window the last row decides alone.
    """
    n_before, n_rows = rows.shape[-1] - how.window, max(1, how.window)
    mean = rows[:, :, -n_rows:, :n_before].mean(dim=2)
    if n_before == 0:
        return mean
    return max_pool1d(mean, how.kernel, stride=1, padding=how.kernel // 2)


def places(attention: Float[Tensor, "layer head rival"]) -> Int[Tensor, "layer head rival"]:
    """Each position's place in its head's order, the most attended first, ties to the earlier position."""
    order = attention.argsort(dim=-1, descending=True, stable=True)
    number = torch.arange(order.shape[-1], dtype=torch.int32).expand_as(order)
    return torch.empty_like(number).scatter_(-1, order, number)


def kept(order: Int[Tensor, "layer head rival"], budget: Int[Tensor, "layer head"], window: int) -> Bool[Tensor, "layer head pos"]:
    """The positions of the prompt that a head sees: as many of its first as its budget says, and the window."""
    seen = order < budget[..., None]
    return torch.nn.functional.pad(seen, (0, window), value=True)


def by_group(values: Float[Tensor, "layer head *rest"], n_kv_heads: int, how: str) -> Float[Tensor, "layer kv_head *rest"]:
    """Query heads that share a key-value head taken together, by their `max` or `mean`."""
    return reduce(values, "layer (kv_head group) ... -> layer kv_head ...", how, kv_head=n_kv_heads)


def to_heads(seen: Bool[Tensor, "layer kv_head pos"], n_heads: int) -> Bool[Tensor, "layer head pos"]:
    """What a key-value head has, for each of its query heads."""
    return repeat(seen, "layer kv_head pos -> layer (kv_head group) pos", group=n_heads // seen.shape[1])


def union(seen: Bool[Tensor, "layer head pos"], n_kv_heads: int) -> Bool[Tensor, "layer kv_head pos"]:
    """What a key-value head must hold so that each of its query heads sees what it keeps."""
    return seen.unflatten(1, (n_kv_heads, -1)).any(dim=2)
