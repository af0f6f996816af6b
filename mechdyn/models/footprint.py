"""Memory and work of a batch, by arithmetic: bytes held, bytes read, floating-point operations. Nothing is run."""

from dataclasses import dataclass
from math import ceil

import torch

from mechdyn.models.shape import ModelShape

CHUNK = 2048
"""Tokens of a prompt that one forward of prefill reads: it bounds the activations, and for a padded batch the mask of chunk x length."""


@dataclass(frozen=True)
class Workload:
    """A batch: `n_samples` prompts of `length` tokens, each continued under `n_conditions`, `n_new` tokens long.

    `n_forwards` is 2 where heads are ablated (one forward observes, one is ablated), else 1. Prompts are read `chunk` tokens at a time.
    """

    length: int
    n_new: int
    n_samples: int = 1
    n_conditions: int = 1
    n_forwards: int = 1
    chunk: int = CHUNK

    @property
    def n_rows(self) -> int:
        return self.n_samples * self.n_conditions

    @property
    def chunks(self) -> list[tuple[int, int]]:
        """(tokens read, keys before and among them) of each forward of prefill; the last prompt token is the first step's."""
        n_read = self.length - 1
        return [(min(self.chunk, n_read - start), min(start + self.chunk, n_read)) for start in range(0, n_read, self.chunk)]


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes of a batch. `prefill` and `step` are needed by a forward of either kind, beside weights and cache, and never both at once."""

    weights: int
    cache: int
    prefill: int
    step: int

    @property
    def peak(self) -> int:
        return self.weights + self.cache + max(self.prefill, self.step)


@dataclass(frozen=True)
class Work:
    """Floating-point operations, and bytes that go between memory and processor."""

    flops: int
    n_bytes: int

    def __add__(self, other: "Work") -> "Work":
        return Work(self.flops + other.flops, self.n_bytes + other.n_bytes)

    def __mul__(self, times: int) -> "Work":
        return Work(self.flops * times, self.n_bytes * times)


@dataclass(frozen=True)
class Forward:
    """The parts of one forward that take turns in every layer: products with weights, attention over the cache, and all between them."""

    weights: Work
    attention: Work
    elementwise: Work

    @property
    def total(self) -> Work:
        return self.weights + self.attention + self.elementwise


def memory_of(shape: ModelShape, load: Workload, dtype: torch.dtype) -> MemoryNeed:
    """Bytes that a batch holds at its peak.

    Conditions of a sample share the keys and values of its prompt; every row has those of its own new tokens.
    """
    cache = shape.n_cached * (load.n_samples * load.length + load.n_rows * load.n_new)
    return MemoryNeed(
        weights=shape.n_parameters * dtype.itemsize,
        cache=cache * dtype.itemsize,
        prefill=max((_prefill_bytes(shape, load, dtype, *chunk) for chunk in load.chunks), default=0),
        step=_step_bytes(shape, load, dtype),
    )


def _prefill_bytes(shape: ModelShape, load: Workload, dtype: torch.dtype, n_read: int, n_keys: int) -> int:
    """One layer over one chunk: its attention or its MLP, whichever holds more, beside the residual streams that transformers keeps.

    Several prompts are taken to be of different lengths: sdpa then takes a mask of chunk x keys, and with it keys and values of every head.
    """
    n_tokens, d_heads = load.n_samples * n_read, shape.n_heads * shape.d_head
    padded = load.n_samples > 1
    mask = n_tokens * n_keys if padded else 0
    repeated = 2 * load.n_samples * n_keys * d_heads if padded and shape.n_kv_heads < shape.n_heads else 0
    # Queries and z; behind a first chunk without a mask, z of past and chunk apart and their sum.
    queries = (2 if padded or n_keys == n_read else 4) * n_tokens * d_heads
    attention = 3 * n_tokens * shape.d_model + queries + repeated
    mlp = n_tokens * (4 * shape.d_model + shape.n_mlp_live)
    # While the mask is made, two Boolean ones stand beside it.
    return mask * dtype.itemsize + max(attention * dtype.itemsize, mlp * dtype.itemsize, 2 * mask)


def _step_bytes(shape: ModelShape, load: Workload, dtype: torch.dtype) -> int:
    """Attention rows of all layers for each forward of the step, and one layer's scores in fp32 while they become rows."""
    rows = load.n_rows * shape.n_heads * (load.length + load.n_new)
    logits = load.n_forwards * load.n_rows * shape.d_vocab
    tails = load.n_forwards * shape.n_cached * load.n_rows * load.n_new
    return (load.n_forwards * shape.n_layers * rows + logits + tails) * dtype.itemsize + 3 * rows * 4


def prefill_of(shape: ModelShape, load: Workload, dtype: torch.dtype) -> list[Forward]:
    """The forwards that read the prompts, the same for every condition."""
    return [_forward(shape, dtype, load.n_samples, n_read, n_keys, load.n_samples * n_keys) for n_read, n_keys in load.chunks]


def step_of(shape: ModelShape, load: Workload, dtype: torch.dtype) -> Forward:
    """One forward of one step, in the middle of the answer; a step has `n_forwards` of them."""
    n_new = ceil(load.n_new / 2)
    return _forward(shape, dtype, load.n_rows, 1, load.length + n_new, load.n_samples * load.length + load.n_rows * n_new)


def _forward(shape: ModelShape, dtype: torch.dtype, n_rows: int, n_read: int, n_keys: int, n_cached: int) -> Forward:
    """`n_read` tokens of each row over `n_keys` keys; `n_cached` positions are read from the cache in all. Two operations a product."""
    weights = Work(2 * n_rows * (n_read * shape.n_matmul + shape.n_unembed), shape.n_read * dtype.itemsize)
    products = 4 * n_rows * n_read * n_keys * shape.n_layers * shape.n_heads * shape.d_head
    attention = Work(products, shape.n_cached * n_cached * dtype.itemsize)
    return Forward(weights, attention, Work(0, n_rows * n_read * shape.n_elementwise * dtype.itemsize))
