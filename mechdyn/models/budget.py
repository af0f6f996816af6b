"""Memory and time of a run before anything is loaded: what fits, and how long it takes."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from mechdyn.decoding.prefill import CHUNK
from mechdyn.errors import InputError
from mechdyn.models.footprint import Memory, Work, Workload, memory_of, prefill_of, step_of
from mechdyn.models.hardware import Device, find_device
from mechdyn.models.registry import CONTROLS
from mechdyn.models.shape import ModelShape, planned_shape
from mechdyn.runs.configs import PlanConfig

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class LengthPlan:
    """All runs of one prompt length.

    `work` and `seconds` are of all of them; `largest_batch` is how many samples fit together, 0 where not one does.
    """

    load: Workload
    memory: Memory
    work: Work
    prefill_seconds: float
    seconds: float
    fits: bool
    largest_batch: int


@dataclass(frozen=True)
class RunPlan:
    """A plan for each length. `longest` is the longest prompt that fits alone, 0 where even the shortest does not."""

    config: PlanConfig
    shape: ModelShape
    dtype: torch.dtype
    device: Device
    lengths: tuple[LengthPlan, ...]
    longest: int

    @property
    def hours(self) -> float:
        return sum(each.seconds for each in self.lengths) / 3600

    def as_json(self) -> dict[str, Any]:
        """Bytes, operations and seconds, for `--json`."""
        return {
            **{name: value for name, value in asdict(self.config).items() if name != "lengths"},
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
            "hours": self.hours,
        }


def plan_run(config: PlanConfig) -> RunPlan:
    """Plan from the model's configuration and the device's facts. Nothing is loaded, and only a hub id needs the network.

    Raises:
        InputError: an unknown model, device or dtype, no length, or a length beyond the model's context.
        UnsupportedModelError: a model that could not be traced.
    """
    if config.dtype is not None and config.dtype not in DTYPES:
        raise InputError(f"dtype must be one of {', '.join(DTYPES)}, got {config.dtype!r}")
    shape = planned_shape(config.model)
    _check_lengths(config, shape)
    name = config.device or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = DTYPES[config.dtype] if config.dtype else _loaded_as(config.model, name, shape)
    device = find_device(name, dtype, (shape.d_mlp, shape.d_model))

    def fits(load: Workload) -> bool:
        return memory_of(shape, load, dtype).peak + device.in_use <= device.memory

    lengths = tuple(_plan_length(config, shape, dtype, device, length, fits) for length in sorted(set(config.lengths)))
    one = replace(_workload(config, 2), n_samples=1)
    longest = _largest(shape.n_ctx - config.max_new_tokens, lambda length: fits(replace(one, length=length)))
    return RunPlan(config, shape, dtype, device, lengths, longest)


def _plan_length(
    config: PlanConfig, shape: ModelShape, dtype: torch.dtype, device: Device, length: int, fits: Callable[[Workload], bool]
) -> LengthPlan:
    load = _workload(config, length)
    n_full, rest = divmod(config.runs, load.n_samples)
    batches = [(n_full, load)] + ([(1, replace(load, n_samples=rest))] if rest else [])
    work, prefill, seconds = Work(0, 0), 0.0, 0.0
    for times, batch in batches:
        reads, step = prefill_of(shape, batch, dtype), step_of(shape, batch, dtype)
        n_steps = batch.n_new * batch.n_forwards
        reading = times * sum(device.seconds(forward, shape.n_layers, dtype) for forward in reads)
        prefill += reading
        seconds += reading + times * n_steps * device.seconds(step, shape.n_layers, dtype)
        work += (sum((forward.total for forward in reads), Work(0, 0)) + step.total * n_steps) * times
    largest = _largest(config.runs, lambda n_samples: fits(replace(load, n_samples=n_samples)))
    return LengthPlan(load, memory_of(shape, load, dtype), work, prefill, seconds, fits(load), largest)


def _workload(config: PlanConfig, length: int) -> Workload:
    n_samples, n_forwards = min(config.batch_size, config.runs), 2 if config.ablate else 1
    return Workload(length, config.max_new_tokens, n_samples, config.conditions, n_forwards, CHUNK)


def _largest(limit: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to `limit` that fits, by bisection: what fits goes on fitting for less. 0 where 1 does not."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _check_lengths(config: PlanConfig, shape: ModelShape) -> None:
    if not config.lengths:
        raise InputError("a plan needs at least one prompt length, got none; give one with --length")
    longest = shape.n_ctx - config.max_new_tokens
    for length in config.lengths:
        if not 1 <= length <= longest:
            raise InputError(
                f"length {length} must lie between 1 and {longest}: {config.model} holds {shape.n_ctx} positions, "
                f"{config.max_new_tokens} of them for the answer"
            )


def _loaded_as(model: str, device: str, shape: ModelShape) -> torch.dtype:
    """What `load_model` makes of it: fp32 on the CPU and for bundled models, else the checkpoint's own type."""
    return torch.float32 if device == "cpu" or model in ("mini", *CONTROLS) else shape.dtype
