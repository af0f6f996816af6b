"""How many threads the CPU's products take: PyTorch's own choice, a number, or with `auto` as many as are worth it, measured once.

The number moves results by rounding alone, since a sum is divided otherwise, and is no part of what a run is. It is written into the
run's `run.json`, and a run that is gone on with keeps it.
"""

import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

from mechdyn.errors import InputError
from mechdyn.models.model import Model
from mechdyn.tensors import Tensor, torch

AUTO = "auto"
DEFAULT, ASKED, MEASURED = "default", "asked", "measured"
"""Where a number of threads comes from: PyTorch, the user (or the run's beginning), or the clock."""
MOST = 1024
WORTH = 1.1
"""More threads are taken only where fewer take longer than the fastest by more than this factor."""
_PROMPT, _STEPS = 128, 8
"""What is timed stands for a prompt of so many tokens with so many steps behind it."""
_OPERATIONS = 8e9
"""Of a larger model fewer rows of the prompt are timed, so that its products take no more than this."""
_SECONDS, _ROUNDS = 0.4, 5
"""Rounds are repeated until so much time is gone, and no more than so often."""
_CGROUP = Path("/sys/fs/cgroup")
_log = logging.getLogger(__name__)

Timed = Callable[[Callable[[], None]], float]
"""Runs something and says how many seconds it took."""


@dataclass(frozen=True)
class ThreadChoice:
    """So many threads, and why.

    Attributes:
        n: the threads.
        how: `default` (PyTorch's own choice), `asked` or `measured`.
        seconds: of `measured`: those of a prompt's and some steps' products in one layer, by the number of threads.
        cores: how many cores this process may use.
    """

    n: int
    how: str = ASKED
    seconds: Mapping[int, float] = field(default_factory=dict)
    cores: int = 0

    def __str__(self) -> str:
        times = ", ".join(f"{1e3 * took:.1f} ms with {n}" for n, took in self.seconds.items())
        return f"threads {self.n} of {self.cores} cores, {self.how}" + (f": a layer's products take {times}" if times else "")

    def as_json(self) -> dict[str, Any]:
        """As `run.json` and `log.jsonl` have it."""
        return {"threads": self.n, "threads_by": self.how}


def parse_threads(threads: str | int | None) -> int | str | None:
    """What `--threads` was given: a number, `auto`, or None for PyTorch's own choice.

    Raises:
        InputError: anything else, or a number that is no number of threads.
    """
    if threads is None or threads == AUTO:
        return threads
    text = str(threads)
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise InputError(f"threads must be {AUTO} or a number from 1 to {MOST}, got {text!r}; leave it out for PyTorch's own choice")
    return int(text)


def use_threads(threads: str | int | None, model: Model) -> ThreadChoice:
    """Let torch take so many threads from now on, in this process; with `auto` those of `best_threads`, and a warning says which.

    Raises:
        InputError: as `parse_threads`.
    """
    asked, cores = parse_threads(threads), usable_cores()
    if asked is None:
        return ThreadChoice(torch.get_num_threads(), DEFAULT, cores=cores)
    choice = best_threads(model) if asked == AUTO else ThreadChoice(int(asked), ASKED, cores=cores)
    if choice.how == MEASURED:
        _log.warning("%s; results move in their last digits with it", choice)
    torch.set_num_threads(choice.n)
    return choice


def best_threads(model: Model, *, cores: int | None = None, timed: Timed | None = None) -> ThreadChoice:
    """The fewest threads with which a prompt's and a step's products take at most 10 % longer than with the best number.

    Each shape of a weight that a layer has is multiplied by one row and by a prompt's rows, with 1, 2, 4, … and all cores, in several
    rounds, of which each number's fastest counts. For a model of a thousand million weights it takes less than a second. What other work
    does to the machine meanwhile is measured with it. Of a model on a GPU nothing is timed. Threads are afterwards what they were;
    `use_threads` sets them.

    Args:
        model: a loaded model.
        cores: how many threads to try at most; the cores that this process may use when left out.
        timed: a clock to be told by.
    """
    cores = cores or usable_cores()
    before = torch.get_num_threads()
    if model.device.type != "cpu" or model.twin is None:
        return ThreadChoice(before, DEFAULT, cores=cores)
    tried = _tried(cores)
    if len(tried) == 1:
        return ThreadChoice(1, MEASURED, cores=cores)
    seconds = _measured(_products_of(model), tried, timed or _seconds)
    fastest = min(seconds.values())
    return ThreadChoice(next(n for n in tried if seconds[n] <= WORTH * fastest), MEASURED, seconds, cores)


def usable_cores(cgroup: Path = _CGROUP) -> int:
    """The cores that this process may use: those it is bound to, and no more than the time that its control group is given; at least 1."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([bound, *(ceil(share) for share in _shares(cgroup))]))


def _shares(cgroup: Path) -> list[float]:
    """Cores' worth of time that the control group may take, of either version; none where it has no limit."""
    texts = [_text(cgroup / "cpu.max").split(), [_text(cgroup / "cpu" / f"cpu.cfs_{name}_us") for name in ("quota", "period")]]
    return [int(quota) / int(period) for quota, period in (text for text in texts if len(text) == 2) if quota.isdecimal() and int(period)]


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _tried(cores: int) -> tuple[int, ...]:
    """1, 2, 4, … and all cores."""
    return (*(2**power for power in range(cores.bit_length()) if 2**power < cores), cores)


@dataclass(frozen=True)
class _Products:
    """A weight of each shape in a layer, with a step's row and a prompt's rows for it; `times` is what the prompt's seconds count."""

    layers: tuple[Any, ...]
    step: tuple[Tensor, ...]
    prompt: tuple[Tensor, ...]
    times: float

    def run(self, rows: tuple[Tensor, ...]) -> None:
        for layer, each in zip(self.layers, rows, strict=True):
            layer(each)


def _products_of(model: Model) -> _Products:
    """The linear layers of the model that runs prompts and steps, one of each shape, but for that which gives the logits."""
    last = model.twin.get_output_embeddings()
    every = [module for module in model.twin.modules() if isinstance(module, torch.nn.Linear)]
    layers = {module.weight.shape: module for module in every if module is not last} or {module.weight.shape: module for module in every}
    n_weights = sum(module.weight.numel() for module in layers.values()) or 1
    n_rows = max(1, min(_PROMPT, int(_OPERATIONS / (2 * n_weights))))
    step, prompt = (tuple(torch.ones(n, module.in_features, dtype=module.weight.dtype) for module in layers.values()) for n in (1, n_rows))
    return _Products(tuple(layers.values()), step, prompt, _PROMPT / n_rows)


def _measured(products: _Products, tried: tuple[int, ...], timed: Timed) -> dict[int, float]:
    """Seconds of a prompt and its steps by the number of threads, the least of some rounds."""
    found = dict.fromkeys(tried, float("inf"))
    spent, before = 0.0, torch.get_num_threads()
    try:
        with torch.inference_mode():
            for _ in range(_ROUNDS):
                for n in tried:
                    torch.set_num_threads(n)
                    runs = (products.step, products.step, products.prompt)
                    first, step, prompt = (timed(partial(products.run, rows)) for rows in runs)  # the first sets up what is set up once
                    spent += first + step + prompt
                    found[n] = min(found[n], _STEPS * step + products.times * prompt)
                if spent > _SECONDS:
                    break
    finally:
        torch.set_num_threads(before)
    return found


def _seconds(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
