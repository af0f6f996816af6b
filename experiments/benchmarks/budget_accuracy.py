"""What `mechdyn budget` says against what runs take: memory and time of random models on the CPU.

`python -m experiments.benchmarks.budget_accuracy` saves random models, and for each case loads one in a process of its own, as `load_model`
does, traces a batch and prints plan, measurement and their ratio: bytes of weights and cache tensors, growth of the process's memory at its
peak, seconds of prefill and of a step (of processor time, on one thread, so that other work on the machine counts less). The device's speed
is measured in the same process just before. glibc keeps freed memory below 32 MB a block for itself, which is no tensor's: memory is
measured with that switched off, and as it is. Linux alone.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from mechdyn.decoding.engines import make_engine
from mechdyn.decoding.trace import trace, trace_conditions
from mechdyn.models.footprint import Workload, memory_of, prefill_of, step_of
from mechdyn.models.hardware import measure_device
from mechdyn.models.load import load_model
from mechdyn.models.registry import MINI_FOLDER
from mechdyn.models.shape import planned_shape
from mechdyn.schedules import Dynamic, RandomHeads
from mechdyn.tasks.niah import niah
from mechdyn.tasks.sample import Sample

MIB = 2**20
N_NEW = 12


@dataclass(frozen=True)
class Case:
    """A model and a batch of it."""

    model: str
    length: int
    n_samples: int
    n_conditions: int

    def __str__(self) -> str:
        return f"{self.model}, {self.n_samples} x {self.length} tokens, {self.n_conditions} condition{'s' * (self.n_conditions > 1)}"


CASES = (
    Case("llama", 512, 1, 1),
    Case("llama", 2048, 1, 3),
    Case("llama", 1024, 4, 3),
    Case("llama", 4096, 1, 1),
    Case("qwen", 1024, 1, 1),
    Case("qwen", 2048, 4, 1),
    Case("qwen", 4096, 2, 3),
    Case("qwen", 8192, 1, 3),
)


def save_models(folder: Path) -> None:
    """A Llama of 400 MB (fp32, 12 layers, 3 : 1 grouped) and a Qwen 3 of 130 MB (8 layers, 4 : 1), with random weights."""
    torch.manual_seed(0)
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": None, "max_position_embeddings": 32_768, "dtype": torch.float32}
    llama = LlamaConfig(
        vocab_size=16_000,
        hidden_size=768,
        intermediate_size=2048,
        num_hidden_layers=12,
        num_attention_heads=12,
        num_key_value_heads=4,
        **tokens,
    )
    qwen = Qwen3Config(
        vocab_size=8000,
        hidden_size=512,
        intermediate_size=1536,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=2,
        head_dim=64,
        **tokens,
    )
    for name, model in (("llama", LlamaForCausalLM(llama)), ("qwen", Qwen3ForCausalLM(qwen))):
        model.save_pretrained(folder / name)
        AutoTokenizer.from_pretrained(MINI_FOLDER).save_pretrained(folder / name)


def measure(case: Case, folder: Path) -> dict[str, tuple[float, float]]:
    """(planned, measured) of every quantity, in this process; bytes in MiB, times in seconds."""
    torch.set_num_threads(1)
    shape = planned_shape(str(folder / case.model))
    cpu = measure_device(torch.device("cpu"), torch.float32, (shape.d_mlp, shape.d_model), time.process_time)
    samples, load = _samples(case), Workload(case.length, N_NEW, case.n_samples, case.n_conditions, 2)
    plan = memory_of(shape, load, torch.float32)
    mini = load_model("mini")
    trace(mini, niah(mini, length=256, depth=0.5, seed=0), ablate=Dynamic())  # what is loaded and made on first use counts for no model
    before = _status("VmRSS")
    model = load_model(folder / case.model)
    names = ("random", "fixed", "dynamic")[: case.n_conditions]
    conditions = {name: Dynamic() if name == "dynamic" else RandomHeads(8, fresh=name == "random") for name in names}
    watch = Stopwatch(make_engine(model))
    _reset_peak()
    trace_conditions(model, samples, conditions, engine=watch, max_new_tokens=N_NEW)
    steps = time.process_time() - watch.prefilled
    n_layers, dtype = shape.n_layers, torch.float32
    return {
        "weights MiB": (plan.weights / MIB, sum(parameter.nbytes for parameter in model.twin.parameters()) / MIB),
        "cache MiB": (shape.n_cached * 4 * case.n_samples * case.length / MIB, watch.cached / MIB),
        "peak MiB": (plan.peak / MIB, (_status("VmHWM") - before) / MIB),
        "prefill s": (sum(cpu.seconds(forward, n_layers, dtype) for forward in prefill_of(shape, load, dtype)), watch.seconds),
        "step s": (2 * cpu.seconds(step_of(shape, load, dtype), n_layers, dtype), steps / N_NEW),
    }


class Stopwatch:
    """An engine whose prefill is timed and whose cache is weighed."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.fork, self.step, self.extend = engine.fork, engine.step, engine.extend

    def prefill(self, prompts: Any, positions: Any = None, *, apart: bool = False) -> Any:
        started = time.process_time()
        state = self._engine.prefill(prompts, positions, apart=apart)
        self.prefilled = time.process_time()
        self.seconds, self.cached = self.prefilled - started, _tensor_bytes(state.memory)
        return state


def _samples(case: Case) -> list[Sample]:
    """Prompts of slightly different lengths, so that a batch is padded."""
    generator = torch.Generator().manual_seed(0)
    prompts = [torch.randint(6, 2000, (case.length - 17 * row,), generator=generator) for row in range(case.n_samples)]
    needle = torch.arange(case.length // 2, case.length // 2 + 30)
    return [Sample("niah", f"{row}", prompt, ((0, 1),), needle, (0, 1), "?", "!") for row, prompt in enumerate(prompts)]


def _tensor_bytes(thing: Any, seen: set[int] | None = None) -> int:
    """Bytes of the distinct storages that a cache or memory of any engine holds."""
    seen = set() if seen is None else seen
    if isinstance(thing, torch.Tensor):
        storage = thing.untyped_storage()
        fresh = storage.data_ptr() not in seen
        seen.add(storage.data_ptr())
        return storage.nbytes() if fresh else 0
    if isinstance(thing, list | tuple):
        return sum(_tensor_bytes(item, seen) for item in thing)
    if is_dataclass(thing):
        return sum(_tensor_bytes(getattr(thing, item.name), seen) for item in fields(thing))
    return sum(_tensor_bytes(value, seen) for value in vars(thing).values()) if hasattr(thing, "__dict__") else 0


def _status(name: str) -> int:
    """A line of /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {name}; run this on Linux")


def _reset_peak() -> None:
    """From here on the peak is what comes, not what loading took."""
    Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    """Every case in a process of its own, and a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", help="measure one case in this process and print JSON: MODEL LENGTH SAMPLES CONDITIONS", nargs=4)
    parser.add_argument("--folder", type=Path, help="where the models are, for --case")
    parser.add_argument("--json", type=Path, help="write the measurements here as well")
    arguments = parser.parse_args()
    if arguments.case:
        name, *numbers = arguments.case
        print(json.dumps(measure(Case(name, *map(int, numbers)), arguments.folder)))
        return
    console, rows = Console(), []
    with tempfile.TemporaryDirectory() as folder:
        save_models(Path(folder))
        for case in CASES:
            rows.append((case, _measure_apart(case, folder)))
            ratios = ", ".join(f"{name} {plan / real:.2f}" for name, (plan, real) in rows[-1][1].items())
            console.print(f"{case}: {ratios}", soft_wrap=True)
    _print(console, rows)
    if arguments.json:
        arguments.json.write_text(json.dumps([{**asdict(case), **found} for case, found in rows], indent=2) + "\n")


def _measure_apart(case: Case, folder: str) -> dict[str, tuple[float, float]]:
    """Two processes: glibc's allocator as it is, and made to return what is freed, so that resident memory is what tensors take."""
    found = []
    for threshold in ({}, {"MALLOC_MMAP_THRESHOLD_": "65536"}):
        command = [sys.executable, "-m", "experiments.benchmarks.budget_accuracy", "--folder", folder]
        command += ["--case", *map(str, asdict(case).values())]
        output = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **threshold}).stdout
        found.append(json.loads(output.splitlines()[-1]))
    usual, returning = found
    memory = {name: returning[name] for name in ("weights MiB", "cache MiB", "peak MiB")}
    return {**memory, "peak MiB, freed memory kept": usual["peak MiB"], **{name: usual[name] for name in ("prefill s", "step s")}}


def _print(console: Console, rows: list[tuple[Case, dict[str, tuple[float, float]]]]) -> None:
    table = Table("case", *(f"{name}: plan, measured" for name in rows[0][1]), title="plan against measurement")
    for case, found in rows:
        table.add_row(str(case), *(f"{plan:.3g}, {real:.3g} ({plan / real:.2f})" for plan, real in found.values()))
    console.print(table)
    for name in rows[0][1]:
        off = max(abs(found[name][0] / found[name][1] - 1) for _, found in rows)
        console.print(f"{name}: at most {off:.0%} off")


if __name__ == "__main__":
    main()
