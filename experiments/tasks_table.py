"""What a model can do of each task: the table of docs/tasks.md.

`python -m experiments.tasks_table --model smollm2-135m --data 2wiki.json` answers some samples of every task, keeps the traces and writes
the table in Markdown. Run again, it goes on where it was. Shares have Wilson's interval (1927), other means a bootstrap one.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mechdyn.decoding.trace import trace_many
from mechdyn.models.load import load_model
from mechdyn.models.model import Model
from mechdyn.registry import parse_spec
from mechdyn.runs.session import open_store
from mechdyn.stats.means import mean_interval
from mechdyn.studies.shared_heads import LEAST, shared_heads
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
SHARED_HEADINGS = ("task", "another", "right answers", "Jaccard of the top 20", "by chance", "within a task", "between", "p")
BATCH = 5
HEADINGS = ("task", "tokens", "n", "right", "metrics", "retrieving steps", "heads a step")


def specs_of(task: Task, model: Model, length: int, n: int) -> list[Spec]:
    """As many samples as asked, over the depths in turn."""
    cells = tuple((length, DEPTHS[index % len(DEPTHS)]) for index in range(n))
    return task.prepare(model, task.max_new_tokens).samples(SampleSet(cells, n_parts=1))


def traces_of(task: Task, model: Model, specs: Sequence[Spec], folder: Path) -> list[Trace]:
    """The trace of each sample, those that the store has taken from there; prompts of one length go in batches."""
    store = open_store(folder, model, score=task.score)
    samples = [build_sample(model, {"task": task.name, **spec}) for spec in specs]
    done = {found.sample: found for found in store.traces()}
    new = sorted((sample for sample in samples if sample.key not in done), key=len)
    traced = trace_many(model, new, batch_size=BATCH, score=task.score, max_new_tokens=task.max_new_tokens)
    for each in tqdm(traced, desc=folder.name, total=len(new)):
        store.append([each])
        done[each.sample] = each
    return [done[sample.key] for sample in samples]


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


def shared_rows(traces: Mapping[str, Sequence[Trace]]) -> list[list[str]]:
    """Every two tasks that have enough right answers: whether the same heads serve both."""
    enough = {name: found for name, found in traces.items() if _n_right(found) >= LEAST}
    if len(enough) < 2:
        return []
    found = shared_heads(enough)
    chance = {(pair.first, pair.second): pair.overlap for pair in found.comparison.pairs}
    rows = []
    for pair in found.pairs:
        whole = chance[pair.first, pair.second]
        counts = f"{found.n_right[pair.first]}, {found.n_right[pair.second]}"
        shares = [f"{whole.jaccard:.2f}", f"{whole.chance:.2f}", f"{pair.within:.2f}", f"{pair.between:.2f}", f"{pair.p:.3f}"]
        rows.append([f"`{pair.first}`", f"`{pair.second}`", counts, *shares])
    return rows


def _n_right(traces: Sequence[Trace]) -> int:
    return sum(is_correct(each.task, each.text, each.answer) for each in traces)


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
    lines, by_task = [HEADINGS, ["---"] * len(HEADINGS)], {}
    for spec in asked.task or [*MADE, *(OF_FILES if asked.data else ())]:
        reads_a_file = issubclass(TASKS.get(parse_spec(spec)[0]), FileTask)
        task = make_task(spec, data=asked.data if reads_a_file else None)
        traces = traces_of(task, model, specs_of(task, model, asked.length, asked.samples), asked.out / re.sub(r"\W+", "-", spec))
        lines.append(row(spec, traces))
        if task.score == "copy_paste":
            by_task[spec] = traces
        print(f"| {' | '.join(lines[-1])} |", flush=True)
    shared = [SHARED_HEADINGS, ["---"] * len(SHARED_HEADINGS), *shared_rows(by_task)]
    tables = ["".join(f"| {' | '.join(line)} |\n" for line in table) for table in (lines, shared)]
    print(tables[1])
    (asked.out / "table.md").write_text("\n".join(tables))


if __name__ == "__main__":
    main()
