"""Products with a model's weights on the CPU, in float32 by the fastest of several ways to compute the same sums.

PyTorch hands every float32 product to one library, and that is slow where the rows are few or the processor is not the library's own: for
SmolLM2's weights on an AMD processor of 2024, one row takes 1.8 times as long as reading the weights, two rows 2 times as long as the
product turned round, and a prompt 2.2 times as long as oneDNN, which PyTorch brings along. Which way a product goes follows from its
shape alone and never from a clock, so that the same call gives the same numbers; they differ from PyTorch's by rounding. With
`MECHDYN_PRODUCTS=plain` in the environment models are loaded without all this.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from mechdyn.errors import InputError

SHAPE, PLAIN = "shape", "plain"
"""How products are computed: each by its shape, or all PyTorch's way."""
_FEW = 4
"""Rows up to which the turned product is the fastest."""
_BLOCKS = (64, 48, 32, 16)
"""Outputs that a single row's product computes at a time: the first of these that divides them all."""
_SMALL = 1 << 15
"""Weights of fewer numbers than this stay in a cache next to the core, where PyTorch's way is as good."""
_PLAIN: ContextVar[bool] = ContextVar("_PLAIN", default=False)
_ONEDNN = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None


class ShapedLinear(nn.Linear):
    """`torch.nn.Linear` whose product on the CPU is chosen by its shape (`product`)."""

    def forward(self, input: Float[Tensor, "*row d_in"]) -> Float[Tensor, "*row d_out"]:
        return product(input, self.weight, self.bias)


@contextmanager
def plain_products() -> Iterator[None]:
    """Inside, all products are PyTorch's own: to compare with, or where another processor does better with them."""
    before = _PLAIN.set(True)
    try:
        yield
    finally:
        _PLAIN.reset(before)


def products_way() -> str:
    """How models that are loaded now compute products: what `MECHDYN_PRODUCTS` says, `shape` where it says nothing.

    Raises:
        InputError: it says anything else.
    """
    way = os.environ.get("MECHDYN_PRODUCTS") or SHAPE
    if way not in (SHAPE, PLAIN):
        raise InputError(f"MECHDYN_PRODUCTS must be {SHAPE} or {PLAIN}, got {way!r}; unset it for {SHAPE}")
    return way


def products_of(hf: Any) -> str:
    """The way of a loaded model's products in words: which of them, if any, are chosen by their shape."""
    layers = [module for module in hf.modules() if isinstance(module, nn.Linear)]
    shaped = [layer for layer in layers if isinstance(layer, ShapedLinear)]
    able = [layer for layer in shaped if layer.weight.device.type == "cpu" and layer.weight.dtype == torch.float32]
    if able:
        return f"by their shape, in {len(able)} of {len(layers)} linear layers"
    reasons = (
        (not layers, "no linear layer"),
        (products_way() == PLAIN, f"MECHDYN_PRODUCTS={PLAIN}"),
        (not shaped, "its linear layers are of a kind of their own"),
    )
    kind = "not float32 on the CPU"
    return f"PyTorch's ({next((said for holds, said in reasons if holds), kind)})"


def use_own_products(hf: Any) -> None:
    """Switch a model's linear layers to `ShapedLinear`, in place and over the same weights; quantised ones and other kinds stay.

    Raises:
        InputError: as `products_way`.
    """
    if products_way() == PLAIN:
        return
    for module in hf.modules():
        if type(module) is nn.Linear and "forward" not in module.__dict__:
            module.__class__ = ShapedLinear


def product(
    rows: Float[Tensor, "*row d_in"], weight: Float[Tensor, "d_out d_in"], bias: Float[Tensor, " d_out"] | None = None
) -> Float[Tensor, "*row d_out"]:
    """`torch.nn.functional.linear`, on the CPU in float32 and without gradients by the way that is fast for so many rows.

    One row: blocks of the weight as a batch of products. Two to four: the weight times the rows as columns. More: oneDNN.
    """
    if _leave_plain(rows, weight):
        return linear(rows, weight, bias)
    n_rows = rows.numel() // rows.shape[-1]
    block = next((size for size in _BLOCKS if weight.shape[0] % size == 0), 0) if n_rows == 1 else 0
    if block:
        columns = rows.reshape(1, -1).contiguous().T.expand(weight.shape[0] // block, -1, -1)
        found = torch.bmm(weight.view(-1, block, weight.shape[1]), columns).view(*rows.shape[:-1], -1)
    elif 1 < n_rows <= _FEW:
        found = (weight @ rows.reshape(n_rows, -1).contiguous().T).T.contiguous().view(*rows.shape[:-1], -1)
    else:
        return linear(rows, weight, bias) if _ONEDNN is None else _ONEDNN(rows, weight, bias, "none", [], "")
    return found if bias is None else found + bias


def _leave_plain(rows: Tensor, weight: Tensor) -> bool:
    if weight.device.type != "cpu" or weight.dtype != torch.float32 or weight.numel() < _SMALL or rows.dtype != weight.dtype:
        return True
    graded = torch.is_grad_enabled() and (rows.requires_grad or weight.requires_grad)
    return graded or not rows.numel() or not weight.is_contiguous() or _PLAIN.get()
