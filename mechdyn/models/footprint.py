"""Memory and work of a batch, by arithmetic: bytes held, bytes read, floating-point operations. Nothing is run."""

from dataclasses import dataclass
from math import ceil

import torch

from mechdyn.models.shape import ModelShape


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
    chunk: int = 2048

    @property
    def n_rows(self) -> int:
        return self.n_samples * self.n_conditions

    @property
    def chunks(self) -> list[tuple[int, int]]:
        """(tokens read, keys before and among them) of each forward of prefill; the last prompt token is the first step's."""
        n_read = self.length - 1
        return [(min(self.chunk, n_read - start), min(start + self.chunk, n_read)) for start in range(0, n_read, self.chunk)]


@dataclass(frozen=True)
class Memory:
    """Bytes. `prefill` and `step` are what a forward of either kind needs beside weights and cache; they are never there together."""

    weights: int
    cache: int
    prefill: int
    step: int

    @property
    def peak(self) -> int:
        return self.weights + self.cache + max(self.prefill, self.step)


@dataclass(frozen=True)
class Work:
    """What a device does for one part of a forward, which is as slow as the slower of its arithmetic and its reading."""

    flops: int
    n_bytes: int

    def __add__(self, other: "Work") -> "Work":
        return Work(self.flops + other.flops, self.n_bytes + other.n_bytes)


@dataclass(frozen=True)
class Forward:
    """The parts of one forward that follow each other in every layer: matrix products with weights, and attention over the cache."""

    weights: Work
    attention: Work

    @property
    def total(self) -> Work:
        return self.weights + self.attention


def memory_of(shape: ModelShape, load: Workload, dtype: torch.dtype) -> Memory:
    """Bytes that a batch holds at its peak.

    Conditions of a sample share the keys and values of its prompt; every row has those of its own new tokens.
    """
    cache = shape.n_cached * (load.n_samples * load.length + load.n_rows * load.n_new)
    return Memory(
        weights=shape.n_parameters * dtype.itemsize,
        cache=cache * dtype.itemsize,
        prefill=max((_prefill_bytes(shape, load, dtype, *chunk) for chunk in load.chunks), default=0),
        step=_step_bytes(shape, load, dtype),
    )


def _prefill_bytes(shape: ModelShape, load: Workload, dtype: torch.dtype, n_read: int, n_keys: int) -> int:
    """The larger of attention and MLP of one layer, over one chunk, beside the residual stream and its normed copy."""
    n_tokens = load.n_samples * n_read
    stream = 2 * n_tokens * shape.d_model
    queries = 2 * n_tokens * shape.n_heads * shape.d_head
    repeated, mask = 0, 0
    if load.n_samples > 1 or n_keys > n_read:
        # Behind a first chunk, and wherever a batch is padded, sdpa takes a mask (Boolean, and as numbers), and with it whole heads' keys.
        mask = load.n_samples * n_read * n_keys * (1 + dtype.itemsize)
        repeated = 2 * load.n_samples * n_keys * shape.n_heads * shape.d_head if shape.n_kv_heads < shape.n_heads else 0
    return mask + (stream + max(queries + repeated, n_tokens * shape.n_mlp_live)) * dtype.itemsize


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
    return Forward(weights, Work(products, shape.n_cached * n_cached * dtype.itemsize))
