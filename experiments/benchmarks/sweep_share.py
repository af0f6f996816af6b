"""How much of a sweep's time lies outside the model's forward pass: a claim-1 run of fresh prompts in this process, from plan to store.

`python -m experiments.benchmarks.sweep_share` prints, for each model, seconds of processor time in `run_units` (building prompts, tracing,
storing) and the share of it outside the model's own forwards. Bar: at most 8 %. One thread; the model is loaded beforehand.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from mechdyn.decoding.engines import make_engine
from mechdyn.models.load import load_model
from mechdyn.plans import EVALUATION, Preset, Request, task_units
from mechdyn.runs.executors import HereExecutor
from mechdyn.runs.run_log import RunLog
from mechdyn.runs.session import open_store
from mechdyn.runs.units import run_units
from mechdyn.runs.worker import Worker
from mechdyn.tasks.niah import Niah

BAR = 0.08


@contextmanager
def forwards_timed(twin: Any) -> Iterator[list[float]]:
    """Seconds in the model's forwards, what they call back into (attention rows, heads overwritten) among them."""
    spent, forward = [0.0], type(twin).forward

    def timed(self: Any, *arguments: Any, **options: Any) -> Any:
        start = time.process_time()
        try:
            return forward(self, *arguments, **options)
        finally:
            spent[0] += time.process_time() - start

    type(twin).forward = timed
    try:
        yield spent
    finally:
        type(twin).forward = forward


def share_outside(name: str, lengths: tuple[int, ...], n_seeds: int) -> tuple[int, float, float]:
    """Traces, seconds and the share outside."""
    model = load_model(name)
    request = Request(model.identity(), Niah())
    warm, planned = (list(task_units(request, Preset(lengths, n, (0.1, 0.5, 0.9)), EVALUATION)) for n in (1, n_seeds))
    executor = HereExecutor(Worker(model, make_engine(model)))
    for units in (warm[:1], planned):
        with tempfile.TemporaryDirectory() as folder, forwards_timed(model.twin) as spent:
            store = open_store(Path(folder) / "traces", model)
            start = time.process_time()
            run_units(executor, units, store, log=RunLog(Path(folder) / "log.jsonl"))
            seconds = time.process_time() - start
    return len(planned), seconds, 1 - spent[0] / seconds


def main() -> None:
    """Print a row a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", default=["mini", "smollm2-135m"], dest="models")
    parser.add_argument("--length", type=int, nargs="+", default=[256, 512], dest="lengths")
    parser.add_argument("--seeds", type=int, default=4)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| model | traces | seconds | outside the forward pass | bar |\n|---|---|---|---|---|")
    for name in arguments.models:
        n, seconds, share = share_outside(name, tuple(arguments.lengths), arguments.seeds)
        print(f"| {name} | {n} | {seconds:.1f} | {100 * share:.1f} % | {'met' if share <= BAR else 'NOT MET'} |")


if __name__ == "__main__":
    main()
