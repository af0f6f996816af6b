"""A worked plan for a model that is too large for this machine: the budget's arithmetic, with what was measured of mechdyn itself.

    python -m experiments.worked_plan --out docs/worked_plan

measures, with a model that is here, how near prefill and steps come to what the budget takes for their least time (operations over the rate
of a large product, bytes over the bandwidth of one token's product, both measured just before), what a step takes in a store, how fast a
driver stores it, and how long a model takes to load. The same shares of a device's data sheet then give the time of one sample of the large
model, and the simulation of the scheduler the time of all of them on so many workers, with stragglers and losses.

The shares are of the device that they were measured on. On a processor they say what mechdyn's own work costs, not what a GPU's kernels
reach, so a plan for a GPU that was made on a processor takes assumed shares instead, and says so; measure on the device that is planned for
(`--device cuda`) before days are spent. Times of the CPU are processor time on one thread, so that other work on the machine counts less.
"""

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import typer

from experiments.scheduler_simulation import Setting, Simulated, simulate
from mechdyn.cli import run_script
from mechdyn.decoding.trace import trace_conditions
from mechdyn.errors import InputError
from mechdyn.evidence import Table
from mechdyn.models.budget import RunSize, budget_of
from mechdyn.models.footprint import Workload, prefill_of, step_of
from mechdyn.models.hardware import measure_device
from mechdyn.models.load import load_checkpoint, load_model
from mechdyn.models.model import Model
from mechdyn.models.shape import planned_shape
from mechdyn.reports.tables import print_tables, table_markdown
from mechdyn.runs.session import open_store
from mechdyn.tasks.niah import niah
from mechdyn.text import duration_text
from mechdyn.traces.trace import Trace

WORKERS = (1, 8, 24, 100)
ASSUMED = (0.4, 0.5)
"""Shares of prefill and of a step on a GPU of which nothing was measured: a guess, on the slow side of what is published."""
_COPIES = 32
"""Traces that are stored to see how fast that goes: a whole part."""


@dataclass(frozen=True)
class Constants:
    """What was measured, and with which model, device and prompt.

    Attributes:
        prefill_share: least time of the prompt's reading by the budget, over the time that it took.
        step_share: the same of a step.
        stored_bytes: what a step takes in a store, for each number of a hidden state.
        stored_per_second: bytes a second that one driver stores.
        load_per_second: bytes of weights a second from the disk to a model that is ready.
    """

    model: str
    device: str
    length: int
    prefill_share: float
    step_share: float
    stored_bytes: float
    stored_per_second: float
    load_per_second: float


@dataclass(frozen=True)
class SamplePlan:
    """One sample of the large model on one worker: whether it fits, and seconds at the data sheet, at the measured and at taken shares."""

    fits: bool
    weights: int
    peak: int
    prefill_sheet: float
    steps_sheet: float
    prefill_measured: float
    steps_measured: float
    prefill: float
    steps: float
    stored: int
    load: float

    @property
    def seconds(self) -> float:
        return self.prefill + self.steps


def measure(name: str, length: int, n_new: int, device: str | None = None) -> Constants:
    """Time a prompt and its steps, and the storing of what they came to.

    Raises:
        InputError: an answer that ends at its first token, so that no step can be timed.
    """
    torch.set_num_threads(1)
    shape, model = planned_shape(name), load_model(name, device=device)
    on, dtype = model.device, model.dtype
    clock = time.process_time if on.type == "cpu" else time.perf_counter
    found = measure_device(on, dtype, (shape.d_mlp, shape.d_model), clock)
    sheet = replace(found, rates=(), per_layer=0.0)
    first, _ = _timed(model, length, 1, clock)
    whole, trace = _timed(model, length, n_new, clock)
    if trace.n_steps < 2:
        raise InputError(f"the answer of {name} ends at once, so no step can be timed; take another model or length")
    step = (whole - first) / (trace.n_steps - 1)
    load = Workload(length, trace.n_steps)
    reading = sum(sheet.seconds(forward, shape.n_layers, dtype) for forward in prefill_of(shape, load, dtype))
    stored, seconds = _stored(model, trace, clock)
    weights = sum(parameter.nbytes for parameter in model.twin.parameters())
    return Constants(
        model=name,
        device=on.type,
        length=length,
        prefill_share=reading / (first - step),
        step_share=sheet.seconds(step_of(shape, load, dtype), shape.n_layers, dtype) / step,
        stored_bytes=stored / (_COPIES * trace.n_steps * shape.d_model),
        stored_per_second=stored / seconds,
        load_per_second=weights / _loading(model, clock),
    )


def _timed(model: Model, length: int, n_new: int, clock: Callable[[], float]) -> tuple[float, Trace]:
    """The faster of two goes: the first has things to make that are used again."""
    sample, times = niah(model, length=length, depth=0.5, seed=0), []
    for _ in range(2):
        begun = clock()
        (traced,) = trace_conditions(model, [sample], {"clean": None}, max_new_tokens=n_new)
        times.append(clock() - begun)
    return min(times), traced["clean"]


def _stored(model: Model, trace: Trace, clock: Callable[[], float]) -> tuple[int, float]:
    """Bytes of a part of copies, and the time that one driver takes for it."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder) / "traces", model)
        noise = torch.Generator().manual_seed(0)
        # No two hidden states of real traces are the same, and a store packs what is.
        hidden = [trace.hidden * (1 + 0.01 * torch.randn(trace.hidden.shape, generator=noise)) for _ in range(_COPIES)]
        begun = clock()
        store.append([replace(trace, unit=f"copy-{number}", hidden=each) for number, each in enumerate(hidden)])
        seconds = clock() - begun
        return sum(file.stat().st_size for file in Path(folder).rglob("*.parquet")), seconds


def _loading(model: Model, clock: Callable[[], float]) -> float:
    """Seconds from a checkpoint on the disk, as a hub has it, to a model that is ready."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, _ = load_checkpoint(model.name, device="cpu", dtype=model.dtype)
        for part in (checkpoint.hf, checkpoint.tokenizer):
            part.save_pretrained(folder)
        del checkpoint
        begun = clock()
        load_model(folder, device=model.device, dtype=model.dtype)
        return clock() - begun


def plan_sample(name: str, size: RunSize, device: str, known: Constants) -> SamplePlan:
    """One sample by the budget, its times divided by shares: those that were measured on such a device, else assumed ones."""
    budget = budget_of(name, replace(size, n_samples=1), device=device)
    (each,) = budget.lengths
    steps = each.seconds - each.prefill_seconds
    shape = budget.shape
    shares = (known.prefill_share, known.step_share) if known.device == "cuda" or device == "cpu" else ASSUMED
    return SamplePlan(
        fits=each.fits,
        weights=each.memory.weights,
        peak=each.memory.peak + budget.device.in_use,
        prefill_sheet=each.prefill_seconds,
        steps_sheet=steps,
        prefill_measured=each.prefill_seconds / known.prefill_share,
        steps_measured=steps / known.step_share,
        prefill=each.prefill_seconds / shares[0],
        steps=steps / shares[1],
        stored=round(known.stored_bytes * size.n_new * shape.d_model * size.n_conditions),
        load=each.memory.weights / known.load_per_second,
    )


def settings_of(sample: SamplePlan, n_samples: int, known: Constants) -> dict[int, Setting]:
    """The cluster by its workers: 5 % of them slow, each lost once in 100 hours."""
    once = Setting(
        items=n_samples,
        seconds=sample.seconds,
        spread=0.1,
        stragglers=0.05,
        slowness=1.5,
        lost_per_hour=0.01,
        load_seconds=sample.load,
        serial_seconds=sample.stored / known.stored_per_second,
    )
    return {workers: replace(once, workers=workers) for workers in WORKERS}


def worked_plan(
    out: Annotated[Path, typer.Option(help="Stem of files to write: OUT.json and OUT.md.")],
    model: Annotated[str, typer.Option(help="A model that is here, with which is measured.")] = "smollm2-135m",
    measured_on: Annotated[str | None, typer.Option("--device", help="Where: cpu or cuda.")] = None,
    measured_length: Annotated[int, typer.Option(help="Tokens of the prompt that is measured.")] = 512,
    planned: Annotated[str, typer.Option(help="The model that is planned for.")] = "llama3.1-70b",
    planned_on: Annotated[str, typer.Option(help="A worker's devices.")] = "2xh200",
    length: Annotated[int, typer.Option(help="Tokens of its prompts.")] = 131_000,
    samples: Annotated[int, typer.Option(min=1, help="How many prompts.")] = 10_000,
) -> None:
    """Measure here, plan there, and write both down."""
    size = RunSize((length,), n_samples=samples, n_new=64, batch_size=1)
    known = measure(model, measured_length, 33, measured_on)
    sample = plan_sample(planned, size, planned_on, known)
    settings = settings_of(sample, samples, known)
    found = {workers: simulate(setting) for workers, setting in settings.items()}
    tables = [_measured(known), _sample(sample, planned, planned_on, length), _cluster(sample, found, samples, planned_on)]
    print_tables(tables)
    numbers = {"measured": asdict(known), "sample": asdict(sample), "workers": {n: asdict(each) for n, each in found.items()}}
    out.with_suffix(".json").write_text(json.dumps(numbers, indent=2) + "\n")
    out.with_suffix(".md").write_text("\n\n".join(table_markdown(table).strip() for table in tables) + "\n")


def _measured(known: Constants) -> Table:
    rows = (
        ("prefill, share of the least time by the budget", f"{known.prefill_share:.0%}"),
        ("a step, likewise", f"{known.step_share:.0%}"),
        ("a step in the store, for each number of a hidden state", f"{known.stored_bytes:.1f} bytes"),
        ("a driver stores", f"{known.stored_per_second / 1e6:.0f} MB/s"),
        ("a model loads", f"{known.load_per_second / 1e6:.0f} MB/s"),
    )
    title = f"Measured here: {known.model}, {known.length} tokens, {known.device}, one thread"
    return Table(title, ("what", "measured"), rows, numbers=("measured",))


def _sample(sample: SamplePlan, name: str, device: str, length: int) -> Table:
    assumed = sample.prefill != sample.prefill_measured
    guess = f"{ASSUMED[0]:.0%} and {ASSUMED[1]:.0%}, assumed, since no GPU was measured"
    rows = (
        ("prefill", *(f"{each:.1f} s" for each in (sample.prefill_sheet, sample.prefill_measured, sample.prefill))),
        ("64 steps", *(f"{each:.1f} s" for each in (sample.steps_sheet, sample.steps_measured, sample.steps))),
    )
    title = f"One sample of {name}, {length:,} tokens, on {device}"
    columns = ("what", "by the data sheet", "at the shares above", "taken for the plan")
    caption = (
        f"It {'fits' if sample.fits else 'does NOT fit'}: {sample.weights / 1e9:.0f} GB of weights, {sample.peak / 1e9:.0f} GB in all. "
        f"In the store {sample.stored / 1e6:.1f} MB. Loading {duration_text(sample.load)}. "
        f"Shares taken for the plan: {guess if assumed else 'those measured'}."
    )
    return Table(title, columns, rows, caption, columns[1:])


def _cluster(sample: SamplePlan, found: Mapping[int, Simulated], samples: int, device: str) -> Table:
    rows = tuple(
        (f"{workers} x {device}", f"{each.hours:.1f}", f"{each.hours * workers:.0f}", f"{each.utilisation:.1%}", f"{each.wasted:.2%}")
        for workers, each in found.items()
    )
    columns = ("workers", "hours", "worker hours", "utilisation", "wasted")
    caption = (
        f"{samples * sample.stored / 1e9:.0f} GB of traces. Simulated: 5 % of the workers 1.5 times as slow, each lost once in 100 hours, "
        "which costs the sample at hand and a loading."
    )
    return Table(f"{samples:,} samples, one condition", columns, rows, caption, columns[1:])


if __name__ == "__main__":
    run_script(worked_plan)
