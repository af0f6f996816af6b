"""How the cost of an ablation cell grows with context, conditions and samples a batch, as a Markdown table and an SVG for the docs.

`python -m experiments.benchmarks.ablation_cost --out docs/ablation_cost` varies one of the three at a time on a random model (8 layers x 8
heads, d 512). Each setting is run `--rounds` times, in turn with the others; medians are shown.
"""

import argparse
import dataclasses
import statistics
import time
from pathlib import Path

import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots
from tqdm import tqdm

from experiments.benchmarks.ablation_cell import Cell, make_cell
from mechdyn.decoding.trace import trace_conditions
from mechdyn.schedules import RandomHeads, Schedule
from mechdyn.tasks.sample import Sample
from mechdyn.views.theme import look

AXES: dict[str, tuple[int, ...]] = {"context": (512, 1024, 2048, 4096), "conditions": (1, 2, 4, 8), "samples": (1, 2, 4, 8)}
BASE = {"context": 1024, "conditions": 4, "samples": 1}
N_STEPS = 16


def seconds(cell: Cell, n_conditions: int, n_samples: int) -> float:
    """One run: `n_samples` prompts, each under `n_conditions` random ablations."""
    conditions: dict[str, Schedule | None] = {str(seed): RandomHeads(4, seed=seed) for seed in range(n_conditions)}
    samples = [_rolled(cell.sample, index) for index in range(n_samples)]
    model = dataclasses.replace(cell.model, eos_ids=())
    started = time.perf_counter()
    trace_conditions(model, samples, conditions, max_new_tokens=N_STEPS)
    return time.perf_counter() - started


def _rolled(sample: Sample, index: int) -> Sample:
    """Another prompt of the same length."""
    return dataclasses.replace(sample, tokens=sample.tokens.roll(index), prompt=f"random {index}")


def measure(rounds: int) -> dict[str, dict[int, float]]:
    """Median seconds along each axis, the other two at their base values."""
    cells = {length: make_cell(8, 8, 512, length, N_STEPS) for length in AXES["context"]}
    settings = [(axis, value) for axis, values in AXES.items() for value in values]
    found: dict[tuple[str, int], list[float]] = {setting: [] for setting in settings}
    for axis, value in tqdm(settings * rounds, unit="cell", disable=None):
        chosen = {**BASE, axis: value}
        found[axis, value].append(seconds(cells[chosen["context"]], chosen["conditions"], chosen["samples"]))
    return {axis: {value: statistics.median(found[axis, value]) for value in values} for axis, values in AXES.items()}


def table(measured: dict[str, dict[int, float]]) -> str:
    """Seconds, and seconds against the smallest value of the axis."""
    lines = ["| varied | value | seconds | against the first |", "|---|---|---|---|"]
    for axis, row in measured.items():
        first = next(iter(row.values()))
        lines += [f"| {axis} | {value} | {spent:.2f} | {spent / first:.2f} |" for value, spent in row.items()]
    return "\n".join(lines) + "\n"


def figure(measured: dict[str, dict[int, float]]) -> go.Figure:
    """One panel an axis."""
    drawn = make_subplots(rows=1, cols=len(measured), shared_yaxes=True, subplot_titles=list(measured))
    for column, row in enumerate(measured.values(), start=1):
        drawn.add_scatter(x=list(row), y=list(row.values()), mode="lines+markers", row=1, col=column, showlegend=False)
        drawn.update_xaxes(type="log", tickvals=list(row), row=1, col=column)
    drawn.update_yaxes(title="seconds", rangemode="tozero", col=1)
    return drawn.update_layout(template=look(False).name, width=900, height=320)


def main() -> None:
    """Measure, write table and picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="stem of the files to write: OUT.md and OUT.svg")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    measured = measure(arguments.rounds)
    print(table(measured))
    arguments.out.with_suffix(".md").write_text(table(measured))
    figure(measured).write_image(arguments.out.with_suffix(".svg"))


if __name__ == "__main__":
    main()
