"""How the cost of traces grows on a real model: with context, conditions, samples a batch and worker processes.

`OMP_NUM_THREADS=1 python -m experiments.benchmarks.growth --out docs/growth` varies one of the four at a time, each setting `--rounds`
times in turn with the others, and shows medians: a table, and a figure with a panel for each. The first three are one call of
`trace_conditions` with answers of a fixed number of tokens, in processor time of one thread. Workers share `--units` samples, from plan to
store, their models loaded beforehand: this is wall time and asks for as many quiet cores as workers. `mechdyn models get smollm2-135m`
fetches the model.
"""

import argparse
import dataclasses
import itertools
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from experiments.benchmarks.ablation_cost import figure, table
from experiments.benchmarks.real_model import eight_conditions
from experiments.benchmarks.run_overhead import paced
from mechdyn.decoding.trace import trace_conditions
from mechdyn.models.load import load_model
from mechdyn.models.model import Model
from mechdyn.plans import EVALUATION, Preset, Request, task_units
from mechdyn.runs.configs import VerifyConfig
from mechdyn.tasks.niah import Niah, niah

CONDITIONS, SAMPLES = (1, 2, 4, 8), (1, 2, 4)
N_STEPS = 16
Grown = dict[str, dict[int, float]]
"""Median seconds by what was varied and its value."""


def measure(model: Model, contexts: Sequence[int], workers: Sequence[int], n_units: int, rounds: int) -> Grown:
    """Seconds along each axis; what is not varied has the first context, one condition, one sample, one worker."""
    endless = dataclasses.replace(model, eos_ids=())
    axes: dict[str, Sequence[int]] = {"context": contexts, "conditions": CONDITIONS, "samples": SAMPLES}
    base = {"context": contexts[0], "conditions": 1, "samples": 1}
    settings = [(axis, value) for axis, values in axes.items() for value in values]
    found: dict[tuple[str, int], list[float]] = {setting: [] for setting in [*settings, *(("workers", n) for n in workers)]}
    _cell(endless, base)  # the first call pays for what later ones find ready
    for axis, value in tqdm(settings * rounds, unit="cell", disable=None):
        found[axis, value].append(_cell(endless, {**base, axis: value}))
    planned = list(
        task_units(Request(model.identity(), Niah(), max_new_tokens=N_STEPS), Preset((contexts[0],), n_units, (0.5,)), EVALUATION)
    )
    for _, n in itertools.product(range(rounds), workers):
        config = VerifyConfig("dynamism", model=model.name, workers=n, batch_size=1)
        found["workers", n].append(paced(config, planned))
    axes |= {"workers": workers} if workers else {}
    return {axis: {value: statistics.median(found[axis, value]) for value in values} for axis, values in axes.items()}


def _cell(model: Model, chosen: Mapping[str, int]) -> float:
    """Processor seconds of so many samples of one length under the first so many conditions of the ablation experiment."""
    samples = [niah(model, length=chosen["context"], depth=0.5, seed=seed) for seed in range(chosen["samples"])]
    conditions = dict(itertools.islice(eight_conditions(model).items(), chosen["conditions"]))
    started = time.process_time()
    trace_conditions(model, samples, conditions, max_new_tokens=N_STEPS)
    return time.process_time() - started


def main() -> None:
    """Measure, write table and picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="stem of the files to write: OUT.md and OUT.svg")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--context", type=int, nargs="+", default=[512, 1024, 2048], dest="contexts")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2], help="none leaves that panel out")
    parser.add_argument("--units", type=int, default=8, help="samples that the workers share")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    grown = measure(load_model(arguments.model), arguments.contexts, arguments.workers, arguments.units, arguments.rounds)
    print(table(grown))
    arguments.out.with_suffix(".md").write_text(table(grown))
    figure(grown).write_image(arguments.out.with_suffix(".svg"))


if __name__ == "__main__":
    main()
