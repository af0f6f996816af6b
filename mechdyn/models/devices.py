"""What a device can hold and do: from data sheets for known ones, measured for those of this machine."""

import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from mechdyn.errors import InputError
from mechdyn.models.footprint import Forward, Work

GIB = 2**30


@dataclass(frozen=True)
class Device:
    """Facts of a device.

    Args:
        name: as given with `--device`.
        memory: bytes that a process can use.
        bandwidth: bytes read a second.
        throughput: floating-point operations a second of a matrix product, in half precision and in fp32.
        per_layer: seconds that a layer takes whatever its size (Python, kernel launches); 0 where nobody measured it.
        in_use: bytes taken before a model is there: libraries, or the CUDA context.
        measured: on this machine. If not, the numbers are a data sheet's, which no run reaches, and times are lower bounds.
    """

    name: str
    memory: int
    bandwidth: float
    throughput: tuple[float, float]
    per_layer: float = 0.0
    in_use: int = 0
    measured: bool = False

    def seconds(self, forward: Forward, n_layers: int, dtype: torch.dtype) -> float:
        """Time of one forward: each part is as slow as the slower of arithmetic and reading."""
        return self._part(forward.weights, dtype) + self._part(forward.attention, dtype) + n_layers * self.per_layer

    def _part(self, work: Work, dtype: torch.dtype) -> float:
        half, full = self.throughput
        return max(work.flops / (full if dtype.itemsize >= 4 else half), work.n_bytes / self.bandwidth)


_CUDA_CONTEXT = GIB // 2
"""What a CUDA process takes before its first tensor."""


def _card(name: str, gib: float, bandwidth: float, half: float, full: float) -> Device:
    return Device(name, int(gib * GIB), bandwidth, (half, full), in_use=_CUDA_CONTEXT)


DATA_SHEETS = {
    # GiB as torch reports them; dense half-precision tensor throughput, fp32 without TF32 (torch's default).
    card.name: card
    for card in (
        _card("h100", 79.1, 3.35e12, 989e12, 67e12),
        _card("h200", 139.7, 4.8e12, 989e12, 67e12),
        _card("a100-80gb", 79.1, 2.04e12, 312e12, 19.5e12),
        _card("l40s", 44.4, 0.864e12, 362e12, 91.6e12),
        _card("rtx4090", 23.6, 1.008e12, 165e12, 82.6e12),
    )
}


def find_device(name: str) -> Device:
    """A device by name: `cpu` and `cuda` are measured here and now (some seconds), the others come from their data sheets.

    Raises:
        InputError: no such name, or `cuda` where there is none.
    """
    if name in DATA_SHEETS:
        return DATA_SHEETS[name]
    if name not in ("cpu", "cuda"):
        raise InputError(f"unknown device {name!r}; give cpu, cuda (both measured on this machine) or one of {', '.join(DATA_SHEETS)}")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError(f"there is no CUDA device here to measure; name one to plan for, such as {', '.join(DATA_SHEETS)}, or cpu")
    return measure_device(torch.device(name))


def measure_device(device: torch.device) -> Device:
    """Measure bandwidth by a matrix-vector product, throughput by a matrix product, and what a layer costs by a model of tiny ones."""
    half = torch.bfloat16
    return Device(
        name=device.type,
        memory=memory_of_device(device),
        bandwidth=_bandwidth(device),
        throughput=(_throughput(device, half), _throughput(device, torch.float32)),
        per_layer=_per_layer(device),
        in_use=_CUDA_CONTEXT if device.type == "cuda" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        measured=True,
    )


def memory_of_device(device: torch.device) -> int:
    """Bytes that a process may use: the card's; on the CPU the machine's, or the limit of the control group."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")]
    texts = [file.read_text().strip() for file in limits if file.is_file()]
    return min([physical, *(int(text) for text in texts if text.isdigit())])


def _bandwidth(device: torch.device) -> float:
    """Of reading weights as a step does: a matrix-vector product over far more than any cache holds."""
    matrix = torch.ones(8192, 8192, device=device)
    vector = torch.ones(8192, device=device)
    return matrix.nbytes / _best(lambda: matrix @ vector, device)


def _throughput(device: torch.device, dtype: torch.dtype) -> float:
    size = 4096 if device.type == "cuda" else 1024
    left, right = (torch.ones(size, size, device=device, dtype=dtype) for _ in range(2))
    return 2 * size**3 / _best(lambda: left @ right, device)


@torch.inference_mode()
def _per_layer(device: torch.device) -> float:
    """From one token through models of 2 and of 10 tiny layers."""
    seconds = []
    for n_layers in (2, 10):
        config = LlamaConfig(
            vocab_size=64, hidden_size=64, intermediate_size=64, num_hidden_layers=n_layers, num_attention_heads=2, num_key_value_heads=2
        )
        model, token = LlamaForCausalLM(config).to(device).eval(), torch.ones(1, 1, dtype=torch.long, device=device)
        seconds.append(_best(lambda model=model, token=token: model(token, use_cache=True), device))  # type: ignore[misc]
    return max(seconds[1] - seconds[0], 0.0) / 8


def _best(run: Callable[[], object], device: torch.device, n_times: int = 7) -> float:
    """The shortest of a few times, in seconds, after one that does not count."""
    times = []
    for _ in range(n_times + 1):
        start = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times[1:])
