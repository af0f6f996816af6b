"""The budget of a run before anything is loaded: the memory it needs, whether that fits, and how long it takes."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from mechdyn.errors import InputError
from mechdyn.models.footprint import CHUNK, MemoryNeed, Work, Workload, memory_of, prefill_of, step_of
from mechdyn.models.hardware import Device, find_device
from mechdyn.models.precision import DTYPES
from mechdyn.models.registry import CONTROLS
from mechdyn.models.shape import ModelShape, planned_shape
from mechdyn.models.together import BATCH_TOKENS, samples_together


@dataclass(frozen=True)
class RunSize:
    """How much is to be run.

    Attributes:
        lengths: prompt lengths in tokens.
        n_samples: samples of each length.
        n_conditions: ways in which each sample is continued.
        n_new: tokens of an answer, at most.
        batch_size: samples that run together, each under all of its conditions; as many as `batch_tokens` holds where None.
        batch_tokens: prompt tokens that run together.
        ablate: whether heads are switched off at each step: one forward observes, a second is ablated.
        chunk: tokens of a prompt that are read at a time.
    """

    lengths: tuple[int, ...]
    n_samples: int = 1
    n_conditions: int = 1
    n_new: int = 64
    batch_size: int | None = 8
    ablate: bool = False
    chunk: int = CHUNK
    batch_tokens: int = BATCH_TOKENS

    def batch(self, length: int) -> Workload:
        """A whole batch of prompts of one length."""
        together = self.batch_size or samples_together(length, self.n_conditions, self.batch_tokens)
        n_samples, n_forwards = min(together, self.n_samples), 2 if self.ablate else 1
        return Workload(length, self.n_new, n_samples, self.n_conditions, n_forwards, self.chunk)


@dataclass(frozen=True)
class LengthBudget:
    """What all samples of one prompt length need.

    `load` is one batch and `memory` its bytes; `work` and `seconds` are of all batches; `largest_batch` is how many samples fit together,
    0 where not one does.
    """

    load: Workload
    memory: MemoryNeed
    work: Work
    prefill_seconds: float
    seconds: float
    fits: bool
    largest_batch: int


@dataclass(frozen=True)
class Budget:
    """What a run needs at each length. `longest` is the longest prompt that fits alone, 0 where even the shortest does not."""

    model: str
    size: RunSize
    shape: ModelShape
    dtype: torch.dtype
    device: Device
    lengths: tuple[LengthBudget, ...]
    longest: int

    @property
    def seconds(self) -> float:
        return sum(each.seconds for each in self.lengths)

    def as_json(self) -> dict[str, Any]:
        """Bytes, operations and seconds, for `--json`."""
        return {
            "model": self.model,
            "runs": self.size.n_samples,
            "conditions": self.size.n_conditions,
            "ablate": self.size.ablate,
            "max_new_tokens": self.size.n_new,
            "batch_size": self.size.batch_size,
            "device": {**asdict(self.device), "measured": self.device.measured},
            "dtype": str(self.dtype).removeprefix("torch."),
            "n_parameters": self.shape.n_parameters,
            "lengths": [
                {
                    "length": each.load.length,
                    "batch_size": each.load.n_samples,
                    "bytes": {**asdict(each.memory), "in_use": self.device.in_use, "peak": each.memory.peak + self.device.in_use},
                    "fits": each.fits,
                    "largest_batch": each.largest_batch,
                    "flops": each.work.flops,
                    "bytes_moved": each.work.n_bytes,
                    "prefill_seconds": each.prefill_seconds,
                    "seconds": each.seconds,
                }
                for each in self.lengths
            ],
            "longest_prompt": self.longest,
            "hours": self.seconds / 3600,
        }


def budget_of(model: str, size: RunSize, *, device: str | None = None, dtype: str | None = None) -> Budget:
    """The budget from the model's configuration and the device's facts. Nothing is loaded, and only a hub id needs the network.

    Args:
        model: what `load_model` takes.
        size: how much is to be run.
        device: `cpu` or `cuda` (measured here), or a device of `mechdyn.models.hardware.DATA_SHEETS`; as for loading if left out.
        dtype: `float32`, `bfloat16` or `float16`; as for loading if left out.

    Raises:
        InputError: an unknown model, device or dtype, no length, or a length beyond the model's context.
        UnsupportedModelError: a model that could not be traced.
    """
    if dtype is not None and dtype not in DTYPES:
        raise InputError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
    shape = planned_shape(model)
    _check_lengths(model, size, shape)
    name = device or ("cuda" if torch.cuda.is_available() else "cpu")
    kind = DTYPES[dtype] if dtype else _loaded_as(model, name, shape)
    found = find_device(name, kind, (shape.d_mlp, shape.d_model))

    def fits(load: Workload) -> bool:
        return memory_of(shape, load, kind).peak + found.in_use <= found.memory

    lengths = tuple(_length_budget(size, length, shape, kind, found, fits) for length in sorted(set(size.lengths)))
    one = replace(size.batch(2), n_samples=1)
    longest = _largest(shape.n_ctx - size.n_new, lambda length: fits(replace(one, length=length)))
    return Budget(model, size, shape, kind, found, lengths, longest)


def _length_budget(
    size: RunSize, length: int, shape: ModelShape, dtype: torch.dtype, device: Device, fits: Callable[[Workload], bool]
) -> LengthBudget:
    load = size.batch(length)
    n_full, rest = divmod(size.n_samples, load.n_samples)
    batches = [(n_full, load)] + ([(1, replace(load, n_samples=rest))] if rest else [])
    work, prefill, seconds = Work(0, 0), 0.0, 0.0
    for times, batch in batches:
        reads, step = prefill_of(shape, batch, dtype), step_of(shape, batch, dtype)
        n_steps = batch.n_new * batch.n_forwards
        reading = times * sum(device.seconds(forward, shape.n_layers, dtype) for forward in reads)
        prefill += reading
        seconds += reading + times * n_steps * device.seconds(step, shape.n_layers, dtype)
        work += (sum((forward.total for forward in reads), Work(0, 0)) + step.total * n_steps) * times
    largest = _largest(size.n_samples, lambda n_samples: fits(replace(load, n_samples=n_samples)))
    return LengthBudget(load, memory_of(shape, load, dtype), work, prefill, seconds, fits(load), largest)


def _largest(limit: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to `limit` that fits, by bisection: what fits goes on fitting for less. 0 where 1 does not."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _check_lengths(model: str, size: RunSize, shape: ModelShape) -> None:
    if not size.lengths:
        raise InputError("a budget needs at least one prompt length, got none; give one with --length")
    longest = shape.n_ctx - size.n_new
    for length in size.lengths:
        if not 1 <= length <= longest:
            raise InputError(
                f"length {length} must lie between 1 and {longest}: {model} holds {shape.n_ctx} positions, "
                f"{size.n_new} of them for the answer"
            )


def _loaded_as(model: str, device: str, shape: ModelShape) -> torch.dtype:
    """What `load_model` makes of it: fp32 on the CPU and for bundled models, else the checkpoint's own type."""
    return torch.float32 if device == "cpu" or model in ("mini", *CONTROLS) else shape.dtype
