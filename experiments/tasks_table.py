"""What a model can do of each task: the table of docs/tasks.md.

`python -m experiments.tasks_table --model smollm2-135m --data 2wiki.json` answers some samples of every task, keeps the traces and writes
the table in Markdown. Run again, it goes on where it was. Shares have Wilson's interval (1927), other means a bootstrap one.
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mechdyn.decoding.trace import trace
from mechdyn.models.load import load_model
from mechdyn.models.model import Model
from mechdyn.registry import parse_spec
from mechdyn.runs.session import open_store
from mechdyn.stats.means import mean_interval
from mechdyn.tasks.task import TASKS, FileTask, SampleSet, Spec, Task, answer_quality, build_sample, is_correct, make_task
from mechdyn.traces.trace import Trace

MADE = (
    "niah",
    "ruler:variant=single",
    "ruler:variant=multikey",
    "ruler:variant=multivalue",
    "ruler:variant=multiquery",
    "ruler:variant=single,filler=needles",
    "variable_tracking",
    "variable_tracking:chains=2,hops=1",
    "key_value",
    "stdlib:ask=constant",
    "stdlib:ask=function",
    "decoys",
    "decoys:edits=2",
    "decoys:absent=true",
    "decoys:absent=true,offer=true",
    "permuted",
    "permuted:kind=numbers",
    "world",
)
OF_FILES = ("hotpotqa", "citations", "unanswerable", "unanswerable:offer=true")
DEPTHS = (0.1, 0.3, 0.5, 0.7, 0.9)
HEADINGS = ("task", "tokens", "n", "right", "metrics", "retrieving steps", "heads a step")


def specs_of(task: Task, model: Model, length: int, n: int) -> list[Spec]:
    """As many samples as asked, over the depths in turn."""
    cells = tuple((length, DEPTHS[index % len(DEPTHS)]) for index in range(n))
    return task.prepare(model, task.max_new_tokens).samples(SampleSet(cells, n_parts=1))


def traces_of(task: Task, model: Model, specs: Sequence[Spec], folder: Path) -> list[Trace]:
    """The trace of each sample, those that the store has taken from there."""
    store = open_store(folder, model, score=task.score)
    done = {found.sample: found for found in store.traces()}
    found = []
    for spec in tqdm(specs, desc=folder.name):
        sample = build_sample(model, {"task": task.name, **spec})
        if sample.key not in done:
            done[sample.key] = trace(model, sample, score=task.score, max_new_tokens=task.max_new_tokens)
            store.append([done[sample.key]])
        found.append(done[sample.key])
    return found


def row(spec: str, traces: Sequence[Trace]) -> list[str]:
    """One line of the table."""
    right = [float(is_correct(each.task, each.text, each.answer)) for each in traces]
    qualities = [answer_quality(each.task, each.text, each.answer) for each in traces]
    means = [f"{name} {_mean([quality[name] for quality in qualities])}" for name in qualities[0]]
    lengths = [len(each.prompt_tokens) for each in traces]
    steps = sum(each.n_steps for each in traces)
    retrieving = sum(int(each.retrieving_steps.sum()) for each in traces)
    heads = sum(int(each.active.sum()) for each in traces)
    tokens = f"{min(lengths)}" if min(lengths) == max(lengths) else f"{min(lengths)} to {max(lengths)}"
    per_step = f"{heads / retrieving:.1f}" if retrieving else "–"
    return [f"`{spec}`", tokens, str(len(traces)), _mean(right), ", ".join(means), f"{retrieving / steps:.2f}", per_step]


def _mean(values: Sequence[float]) -> str:
    return f"{mean_interval(np.array(values)):.2f}"


def main() -> None:
    """Answer, count, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--length", type=int, default=512, help="Tokens of prompts that are made to a length.")
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--data", help="Questions in HotpotQA's layout; without them the tasks that read a file are left out.")
    parser.add_argument("--task", action="append", help="Only this one; may be repeated.")
    parser.add_argument("--out", type=Path, default=Path("runs/tasks_table"))
    asked = parser.parse_args()
    model = load_model(asked.model)
    lines = [HEADINGS, ["---"] * len(HEADINGS)]
    for spec in asked.task or [*MADE, *(OF_FILES if asked.data else ())]:
        reads_a_file = issubclass(TASKS.get(parse_spec(spec)[0]), FileTask)
        task = make_task(spec, data=asked.data if reads_a_file else None)
        traces = traces_of(task, model, specs_of(task, model, asked.length, asked.samples), asked.out / re.sub(r"\W+", "-", spec))
        lines.append(row(spec, traces))
        print(f"| {' | '.join(lines[-1])} |", flush=True)
    (asked.out / "table.md").write_text("".join(f"| {' | '.join(line)} |\n" for line in lines))


if __name__ == "__main__":
    main()
