"""What the machinery around the model costs: wall time, memory and the gain of a second worker, over a run of many small units.

`python -m experiments.benchmarks.run_overhead --out docs/run_overhead.json` on quiet cores. Three bars: time outside
the model under 5 % of the wall, resident memory between unit 200 and the last within 5 %, two workers at least 1.7 times as fast as one
(single-threaded units).
"""

import json
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import psutil
import torch
import typer

from mechdyn.cli import run_script
from mechdyn.decoding.engines import make_engine
from mechdyn.models.load import load_model
from mechdyn.models.together import Tokens
from mechdyn.plans import EVALUATION, Preset, Request, task_units
from mechdyn.runs import worker as workers
from mechdyn.runs.batches import BY_TOKENS
from mechdyn.runs.configs import VerifyConfig
from mechdyn.runs.executors import Executor, HereExecutor, make_executor
from mechdyn.runs.run_log import RunLog, read_log
from mechdyn.runs.session import open_store
from mechdyn.runs.units import run_units
from mechdyn.runs.worker import Worker
from mechdyn.tasks.niah import Niah

_SETTLED = 200


@dataclass(frozen=True)
class Overhead:
    """What was measured.

    Seconds of wall time; of these in `trace_conditions`, which runs the model and scores its rows; the share outside (samples, store, log),
    and the same of processor time, which other work on the machine changes less.
    Resident memory at unit 200 and at the last, and the range from there on over the first. How many times as fast two workers are as one.
    """

    n_units: int
    wall: float
    in_model: float
    outside: float
    outside_processor: float
    memory_settled: int
    memory_end: int
    memory_spread: float
    two_workers: float


def run_overhead(
    units: Annotated[int, typer.Option(min=400, help="Units of the run.")] = 2000,
    length: Annotated[int, typer.Option(help="Tokens of a prompt.")] = 256,
    out: Annotated[Path | None, typer.Option(help="Write the numbers here as JSON.")] = None,
) -> None:
    """Measure, print, and say which bars are met."""
    torch.set_num_threads(1)
    found = measure(units, length)
    text = json.dumps(asdict(found), indent=2)
    print(text)
    if units < 2000:
        print("too few units for the bars, which ask for 2,000")
    bars = {"under 5 % outside the model": found.outside < 0.05, "memory within 5 %": found.memory_spread < 0.05}
    bars["two workers at least 1.7 x one"] = found.two_workers >= 1.7
    for bar, met in bars.items():
        print(f"{'met' if met else 'NOT MET'}  {bar}")
    if out is not None:
        out.write_text(text + "\n")


def measure(n_units: int, length: int) -> Overhead:
    """One run in this process, with a clock around the model; then the same by one worker process and by two."""
    model = load_model("mini")
    request = Request(model.identity(), Niah(), max_new_tokens=16)
    planned = list(task_units(request, Preset((length,), n_units, (0.5,)), EVALUATION))
    in_model, processor, memory = [0.0], [0.0], list[tuple[int, int]]()
    real, process = workers.trace_conditions, psutil.Process()

    def timed(*arguments: Any, **options: Any) -> Any:
        begun, worked = time.perf_counter(), time.process_time()
        found = real(*arguments, **options)
        in_model[0] += time.perf_counter() - begun
        processor[0] += time.process_time() - worked
        memory.append((len(found) + (memory[-1][0] if memory else 0), process.memory_info().rss))
        return found

    with patch.object(workers, "trace_conditions", timed):
        worked = time.process_time()
        wall = _run(HereExecutor(Worker(model, make_engine(model))), planned)
        worked = time.process_time() - worked
    settled = [rss for n_done, rss in memory if n_done >= _SETTLED]
    spread = (max(settled) - min(settled)) / settled[0]
    config = VerifyConfig("dynamism", model="mini")
    one, two = (paced(replace(config, workers=n), planned) for n in (1, 2))
    return Overhead(
        n_units, wall, in_model[0], 1 - in_model[0] / wall, 1 - processor[0] / worked, settled[0], settled[-1], spread, one / two
    )


def paced(config: VerifyConfig, planned: list) -> float:
    """Seconds of a run, its workers loaded beforehand."""
    executor = make_executor(config)
    try:
        list(executor.run(_nothing, range(config.workers or 1)))
        return _run(executor, planned, config.batch_size or BY_TOKENS)
    finally:
        executor.close()


def _nothing(worker: Worker, item: int, shared: None) -> None:
    """What a worker does to be there."""


def _run(executor: Executor, planned: list, batch_size: int | Tokens = BY_TOKENS) -> float:
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder) / "traces", executor.model)
        begun = time.perf_counter()
        run_units(executor, planned, store, batch_size=batch_size, log=RunLog(Path(folder) / "log.jsonl"))
        wall = time.perf_counter() - begun
        assert store.n_traces == len(planned) and read_log(Path(folder) / "log.jsonl")
        return wall


if __name__ == "__main__":
    run_script(run_overhead)
