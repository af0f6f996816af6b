"""What a device can hold and do: from data sheets for known ones, measured for those of this machine."""

import os
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from math import log
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear
from transformers import LlamaConfig, LlamaForCausalLM

from mechdyn.errors import InputError
from mechdyn.models.footprint import Forward, Work

GIB = 2**30
_Timer = Callable[[Callable[[], object]], float]


@dataclass(frozen=True)
class Device:
    """Facts of a device.

    Args:
        name: as given with `--device`.
        memory: bytes that a process can use.
        bandwidth: bytes a second between memory and processor.
        throughput: floating-point operations a second of a large matrix product, in half precision and in fp32.
        rates: measured operations a second, in the type asked for, of products in which each weight serves 1, 2, 3 ... tokens. Few tokens
            reach neither bandwidth nor throughput. Without rates a product takes as long as the slower of the two.
        per_layer: seconds that a layer takes whatever its size (Python, kernel launches); 0 where it was not measured.
        in_use: bytes taken before a model is there: libraries, or the CUDA context.
    """

    name: str
    memory: int
    bandwidth: float
    throughput: tuple[float, float]
    rates: tuple[float, ...] = ()
    per_layer: float = 0.0
    in_use: int = 0

    @property
    def measured(self) -> bool:
        """On this machine. If not, the numbers are a data sheet's, which no run reaches, and times are lower bounds."""
        return bool(self.rates)

    def seconds(self, forward: Forward, n_layers: int, dtype: torch.dtype) -> float:
        """Time of one forward, its parts one behind the other."""
        products = self._product(forward.weights, dtype) + self._product(forward.attention, dtype)
        return products + forward.elementwise.n_bytes / self.bandwidth + n_layers * self.per_layer

    def _product(self, work: Work, dtype: torch.dtype) -> float:
        if not self.measured:
            half, full = self.throughput
            return max(work.flops / (full if dtype.itemsize >= 4 else half), work.n_bytes / self.bandwidth)
        # Two operations a weight and token.
        n_tokens = work.flops * dtype.itemsize / (2 * work.n_bytes)
        rate = float(np.interp(log(n_tokens), np.log(_SHARED), self.rates))
        return work.flops / (rate * min(n_tokens, 1.0))


_SHARED = (1, 2, 3, 4, 8, 16, 64, 256, 1024)
"""By how many tokens a weight is used in the measured products."""
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


@cache
def find_device(name: str, dtype: torch.dtype, width: tuple[int, int] = (1024, 1024)) -> Device:
    """A device by name: `cpu` and `cuda` are measured here (some seconds, once), the others come from their data sheets.

    Args:
        name: `cpu`, `cuda`, one of `DATA_SHEETS`, or several of these, such as `2xh200`: memory adds up, and layers run one behind
            the other, so that time is that of one.
        dtype: what a measured device computes in.
        width: rows and columns of the matrices to measure with; a model's own, for times near its own.

    Raises:
        InputError: no such name, or `cuda` where there is none.
    """
    if name in DATA_SHEETS:
        return DATA_SHEETS[name]
    number, _, card = name.partition("x")
    if card in DATA_SHEETS and number.isdecimal() and int(number) > 0:
        one = DATA_SHEETS[card]
        return replace(one, name=name, memory=int(number) * one.memory, in_use=int(number) * one.in_use)
    if name not in ("cpu", "cuda"):
        raise InputError(f"unknown device {name!r}; give cpu, cuda (both measured on this machine) or one of {', '.join(DATA_SHEETS)}")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError(f"there is no CUDA device here to measure; name one to plan for, such as {', '.join(DATA_SHEETS)}, or cpu")
    return measure_device(torch.device(name), dtype, width)


def measure_device(
    device: torch.device, dtype: torch.dtype, width: tuple[int, int], clock: Callable[[], float] = time.perf_counter
) -> Device:
    """Measure products with weights by few and by many tokens, and what a layer costs by a model of tiny ones."""
    timer = partial(_typical, device, clock)
    rates = _rates(device, dtype, width, timer)
    return Device(
        name=device.type,
        memory=memory_of_device(device),
        bandwidth=rates[0] / 2 * dtype.itemsize,
        throughput=(rates[-1], rates[-1]),
        rates=rates,
        per_layer=_per_layer(device, timer),
        in_use=_CUDA_CONTEXT if device.type == "cuda" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )


def memory_of_device(device: torch.device) -> int:
    """Bytes that a process may use: the card's; on the CPU the machine's, or the limit of the control group."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")]
    texts = [file.read_text().strip() for file in limits if file.is_file()]
    return min([physical, *(int(text) for text in texts if text.isdigit())])


def _rates(device: torch.device, dtype: torch.dtype, width: tuple[int, int], timer: _Timer) -> tuple[float, ...]:
    """Operations a second where each weight serves 1, 2, 3 ... tokens; the weights are far more than any cache holds."""
    n_out, n_in = (min(size, 4096) for size in width)
    n_matrices = max(2, (2**30 if device.type == "cuda" else 2**27) // (n_out * n_in * dtype.itemsize))
    weights = [torch.ones(n_out, n_in, device=device, dtype=dtype) for _ in range(n_matrices)]
    found = []
    for n_tokens in _SHARED:
        tokens, some = torch.ones(n_tokens, n_in, device=device, dtype=dtype), weights if n_tokens < 16 else weights[:2]
        seconds = timer(partial(_products, tokens, some))
        found.append(2 * n_tokens * n_out * n_in * len(some) / seconds)
    return tuple(found)


def _products(tokens: Tensor, weights: Sequence[Tensor]) -> None:
    for matrix in weights:
        linear(tokens, matrix)


@torch.inference_mode()
def _per_layer(device: torch.device, timer: _Timer) -> float:
    """From one token through models of 2 and of 10 tiny layers."""
    seconds = []
    for n_layers in (2, 10):
        config = LlamaConfig(
            vocab_size=64, hidden_size=64, intermediate_size=64, num_hidden_layers=n_layers, num_attention_heads=2, num_key_value_heads=2
        )
        model, token = LlamaForCausalLM(config).to(device).eval(), torch.ones(1, 1, dtype=torch.long, device=device)
        seconds.append(timer(partial(model, token, use_cache=True)))
    return max(seconds[1] - seconds[0], 0.0) / 8


def _typical(device: torch.device, clock: Callable[[], float], run: Callable[[], object], n_times: int = 5) -> float:
    """The median of a few times, in seconds, after one that does not count."""
    times = []
    for _ in range(n_times + 1):
        start = clock()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(clock() - start)
    return median(times[1:])
