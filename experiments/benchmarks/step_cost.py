"""What a traced step costs against a step of Hugging Face's `generate` with sdpa, and against reading all weights and keys once.

`python -m experiments.benchmarks.step_cost --out docs/step_cost` runs, in turn and over the same keys and values,

- `sdpa`: `generate` of plain Hugging Face, greedy, its cache growing as it does by default;
- `trace`: mechdyn's own loop, every head's attention row read and scored at each step;
- `ablate`: the same with as many random heads switched off as there are layers, so an observing and an ablated forward a step.

Time is that between one step and the next, the median of a turn; ratios are taken within a turn and their medians shown. The floor is the
bytes of weights, keys and values that a step must read, over the bandwidth of a copy measured beside it. `--set bars` has the sizes of the
project's goals, `sweep` varies context, batch and layers, `llama-8b` (the default on a GPU) is Llama-3.1-8B with random weights in bf16,
and `tiny` goes through the same code in seconds.
"""

import argparse
import dataclasses
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from tqdm import tqdm
from transformers import LlamaForCausalLM, StoppingCriteria

from experiments.benchmarks.random_model import LLAMA_8B, Shape, random_pair, random_samples, random_state
from experiments.benchmarks.step_figure import figure, table
from mechdyn.decoding.ablation import Ablation
from mechdyn.decoding.cache import to_cache
from mechdyn.decoding.engine import DecodeState, HeadEdit, StepOutput
from mechdyn.decoding.fast_engine import FastEngine
from mechdyn.decoding.generate import Row, TraceOptions, generate
from mechdyn.exclusion import ACTIVE
from mechdyn.models.model import Model
from mechdyn.schedules import RandomHeads
from mechdyn.tasks.sample import Sample

WAYS = ("sdpa", "trace", "ablate")
N_STEPS = 10


@dataclass(frozen=True)
class Setting:
    """One point of the benchmark; `axis` is what its set varies there."""

    axis: str
    shape: Shape
    length: int
    batch: int = 1


_SWEPT = Shape(8, 8, 2, 512, 1408)
_TINY = Shape(2, 4, 2, 32, 64)
SETS: dict[str, list[Setting]] = {
    "bars": [
        Setting("4 k tokens, grouped 4 : 1", Shape(16, 16, 4, 1024, 2816), 4096),
        Setting("32 k tokens", Shape(8, 8, 8, 256, 704), 32_768),
        Setting("32 k tokens, grouped 4 : 1", Shape(8, 8, 2, 256, 704), 32_768),
    ],
    "sweep": [
        *(Setting("context", _SWEPT, length) for length in (512, 1024, 2048, 4096, 8192, 16_384, 32_768)),
        *(Setting("batch", _SWEPT, 2048, batch) for batch in (1, 4, 16)),
        *(Setting("layers", dataclasses.replace(_SWEPT, n_layers=n_layers), 2048) for n_layers in (4, 8, 16, 32)),
    ],
    "llama-8b": [Setting("context", LLAMA_8B, length) for length in (5120, 32_768, 131_072)],
    "tiny": [Setting("context", _TINY, length) for length in (64, 128)],
}


class Clock:
    """Marks of time, taken when the device has done what it was given."""

    def __init__(self, device: str, cpu_time: bool) -> None:
        self._synchronise = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
        self._now: Callable[[], float] = time.process_time if cpu_time else time.perf_counter
        self.marks: list[float] = []

    def mark(self) -> None:
        self._synchronise()
        self.marks.append(self._now())

    def step_seconds(self) -> float:
        """The median time from one mark to the next; the first step, which still sets up, is left out. Empties the clock."""
        between = [after - before for before, after in pairwise(self.marks)][1:]
        self.marks = []
        return statistics.median(between)


class TimedEngine(FastEngine):
    """Marks the beginning of each observing forward."""

    def __init__(self, model: Model, clock: Clock) -> None:
        super().__init__(model)
        self._clock = clock

    def step(
        self, state: DecodeState, tokens: Int[Tensor, " row"], edit: HeadEdit | None = None, observed: StepOutput | None = None
    ) -> tuple[StepOutput, DecodeState]:
        if edit is None:
            self._clock.mark()
        return super().step(state, tokens, edit, observed)


class TimedStop(StoppingCriteria):
    """Marks each step of `generate` and never stops it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __call__(self, input_ids: Tensor, scores: Tensor, **options: Any) -> Tensor:
        self._clock.mark()
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


def plain_step(plain: LlamaForCausalLM, samples: Sequence[Sample], state: DecodeState, clock: Clock) -> float:
    """Seconds of a step of `generate` that goes on from the state's keys and values."""
    tokens = torch.stack([sample.tokens for sample in samples]).to(plain.device)
    plain.generate(
        tokens,
        attention_mask=torch.ones_like(tokens),
        past_key_values=to_cache(state.memory.prompts),
        max_new_tokens=N_STEPS,
        do_sample=False,
        stopping_criteria=[TimedStop(clock)],
    )
    return clock.step_seconds()


def own_step(model: Model, samples: Sequence[Sample], state: DecodeState, clock: Clock, ablation: Ablation | None) -> float:
    """Seconds of a traced step, scoring and choice of heads included."""
    rows = [Row(sample, ablation) for sample in samples]
    generate(TimedEngine(model, clock), model, rows, TraceOptions.of(max_new_tokens=N_STEPS), state)
    return clock.step_seconds()


def measure(setting: Setting, device: str, dtype: torch.dtype, rounds: int, cpu_time: bool) -> dict[str, Any]:
    """Median milliseconds a step, ratios to `sdpa`, and the floor."""
    shape, clock = setting.shape, Clock(device, cpu_time)
    model, plain = random_pair(shape, setting.length + N_STEPS + 1, device, dtype)
    model = dataclasses.replace(model, eos_ids=())
    samples, state = random_samples(setting.batch, setting.length), random_state(model, shape, setting.batch, setting.length)
    # Heads that only the step itself shows, as dynamic ones are: those known beforehand need no second forward.
    ablation = Ablation(RandomHeads(shape.n_layers, exclude=ACTIVE))
    turns = []
    for _ in range(rounds):
        sdpa = plain_step(plain, samples, state, clock)
        turns.append({"sdpa": sdpa, "trace": own_step(model, samples, state, clock, None)})
        turns[-1]["ablate"] = own_step(model, samples, state, clock, ablation)
    floor = _bytes_read(plain, state) / _copy_bandwidth(device, dtype, cpu_time)
    return {
        **asdict(setting),
        "milliseconds": {way: 1e3 * statistics.median(turn[way] for turn in turns) for way in WAYS},
        "ratio": {way: statistics.median(turn[way] / turn["sdpa"] for turn in turns) for way in WAYS[1:]},
        "floor_milliseconds": 1e3 * floor,
        "trace_over_floor": statistics.median(turn["trace"] for turn in turns) / floor,
    }


def _bytes_read(plain: LlamaForCausalLM, state: DecodeState) -> int:
    """Every weight but the embedding table, of which a step reads a row, and every key and value, once."""
    read = [weight for name, weight in plain.named_parameters() if "embed_tokens" not in name]
    return sum(tensor.numel() * tensor.element_size() for tensor in (*read, *state.memory.prompts.keys, *state.memory.prompts.values))


def _copy_bandwidth(device: str, dtype: torch.dtype, cpu_time: bool) -> float:
    """Bytes a second, read and written, of copying a tensor that no cache holds."""
    source = torch.ones(2**28 if device.startswith("cuda") else 2**26, dtype=dtype, device=device)
    target, clock = torch.empty_like(source), Clock(device, cpu_time)
    for _ in range(12):
        clock.mark()
        target.copy_(source)
    clock.mark()
    return 2 * source.numel() * source.element_size() / clock.step_seconds()


def main() -> None:
    """Measure every setting of the chosen sets; write JSON, a table and a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="stem of the files to write: OUT.json, OUT.md and OUT.svg")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--set", choices=tuple(SETS), nargs="+", dest="sets", help="left out: bars and sweep, on a GPU llama-8b")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cpu-time", action="store_true", help="count this process's CPU time, for a busy machine; with one thread")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), help="left out: float32, on a GPU bfloat16")
    arguments = parser.parse_args()
    on_gpu = arguments.device.startswith("cuda")
    dtype = getattr(torch, arguments.dtype or ("bfloat16" if on_gpu else "float32"))
    settings = [setting for name in arguments.sets or (["llama-8b"] if on_gpu else ["bars", "sweep"]) for setting in SETS[name]]
    found = []
    for setting in tqdm(settings, unit="setting", disable=None):
        found.append(measure(setting, arguments.device, dtype, arguments.rounds, arguments.cpu_time))
    result = {"machine": _machine(arguments.device), "cpu_time": arguments.cpu_time, "dtype": str(dtype), "settings": found}
    arguments.out.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")
    arguments.out.with_suffix(".md").write_text(table(found))
    figure(found).write_image(arguments.out.with_suffix(".svg"))
    print(table(found))


def _machine(device: str) -> dict[str, Any]:
    name = torch.cuda.get_device_name() if device.startswith("cuda") else platform.machine()
    return {"device": name, "cpus": os.cpu_count(), "threads": torch.get_num_threads(), "torch": torch.__version__}


if __name__ == "__main__":
    main()
