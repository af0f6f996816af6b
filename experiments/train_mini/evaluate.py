"""Measure a trained model: `python -m experiments.train_mini.evaluate --model DIR --prose BOOKS [--questions FILE] [--essays TEXTS]`.

Exact match of UUID needles by length and depth in each kind of text (procedural prose, a book that training never saw with its own and
with straight quotes, Python modules it never saw, HotpotQA paragraphs, essays), of two-hop questions, and of needles while random heads
are off. Everything runs through mechdyn's own engine. The table is printed; `--out` also gets every cell
with its interval, and each wrong answer with its seed.
"""

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from experiments.train_mini.cells import (
    ABLATION,
    PROCEDURAL,
    TWO_HOP,
    UUID,
    WORLD,
    Cell,
    Evaluation,
    Setting,
    Wrong,
    ablated_heads,
    depth_table,
    goal_table,
)
from experiments.train_mini.haystacks import HaystackFiles, write_haystacks
from mechdyn.decoding.ablation import Ablation
from mechdyn.decoding.trace import trace_conditions
from mechdyn.errors import InputError, MechdynError
from mechdyn.models.load import load_model
from mechdyn.models.model import Model
from mechdyn.runs.folder import write_json
from mechdyn.schedules import RandomHeads
from mechdyn.tasks.niah import niah
from mechdyn.tasks.sample import Sample
from mechdyn.tasks.task import is_correct
from mechdyn.tasks.world import world
from mechdyn.traces.trace import Trace

DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
_NEW_TOKENS = {UUID: 48, ABLATION: 48, TWO_HOP: 80}
_BATCH_TOKENS = 8192
_LARGEST_BATCH = 32
Haystacks = Mapping[str, Path | None]
"""What `niah` takes, by kind of text."""


@dataclass(frozen=True)
class EvaluateConfig:
    """What to measure.

    Args:
        model: a model folder, or `mini`.
        files: where the texts come from that needles are hidden in.
        samples: of a cell: of each depth of each length and text, and of each draw of random heads. Two-hop questions of a length get as
            many as all depths together.
        seed: of the first sample; each sample has the next. Training draws from generators of other names, so no seed repeats a row of it.
        uuid_lengths: prompt tokens.
        two_hop_lengths: prompt tokens.
        ablation_length: prompt tokens under ablation.
        draws: how many draws of random heads, each fixed at every step.
    """

    model: str
    files: HaystackFiles
    samples: int = 20
    seed: int = 1_000_000
    uuid_lengths: tuple[int, ...] = (256, 512, 1024, 2048)
    two_hop_lengths: tuple[int, ...] = (512, 1024)
    ablation_length: int = 512
    draws: int = 5

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise InputError(f"samples must be at least 1 a cell, got {self.samples}; 20 is the default")


@dataclass(frozen=True)
class Request:
    """One sample to answer; two-hop questions have no depth to ask for."""

    setting: Setting
    seed: int
    depth: float | None


def evaluate(config: EvaluateConfig) -> Evaluation:
    """Answer fresh samples of every cell and count the exact ones."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        haystacks = write_haystacks(config.files, Path(folder))
        model = load_model(config.model)
        cells, wrong = _count(model, haystacks, list(_requests(config, tuple(haystacks))))
    return Evaluation(model.identity(), config.seed, time.monotonic() - started, cells, wrong)


def _count(model: Model, haystacks: Haystacks, requests: list[Request]) -> tuple[tuple[Cell, ...], tuple[Wrong, ...]]:
    """Every cell with its right answers, and every wrong one."""
    right: Counter[Setting] = Counter()
    asked: Counter[Setting] = Counter()
    wrong = []
    with tqdm(total=len(requests), desc="evaluating", unit="sample", disable=None) as bar:
        for batch in _batches(requests):
            for request, setting, trace in _answers(model, haystacks, batch):
                exact = is_exact(trace)
                asked[setting] += 1
                right[setting] += exact
                if not exact:
                    wrong.append(Wrong(setting, request.seed, request.depth, trace.answer, trace.text))
            bar.update(len(batch))
    return tuple(Cell(setting, right[setting], n) for setting, n in asked.items()), tuple(wrong)


def is_exact(trace: Trace) -> bool:
    """A needle: the whole answer is the UUID, character by character. A question: official EM of what follows "the answer is"."""
    if trace.task == "niah":
        return trace.text.strip() == trace.answer
    return is_correct(trace.task, trace.text, trace.answer)


def _requests(config: EvaluateConfig, kinds: tuple[str, ...]) -> Iterator[Request]:
    """Samples of one length and task in a row, depths in turn, no seed twice."""
    plan = [(Setting(UUID, kind, length), config.samples * len(DEPTHS)) for kind in kinds for length in config.uuid_lengths]
    plan += [(Setting(TWO_HOP, WORLD, length), config.samples * len(DEPTHS)) for length in config.two_hop_lengths]
    plan += [(Setting(ABLATION, PROCEDURAL, config.ablation_length, draw=draw), config.samples) for draw in range(config.draws)]
    seed = config.seed
    for setting, n in plan:
        for index in range(n):
            depth = None if setting.task == TWO_HOP else DEPTHS[index % len(DEPTHS)]
            yield Request(replace(setting, depth=depth) if setting.task == UUID else setting, seed, depth)
            seed += 1


def _batches(requests: list[Request]) -> Iterator[list[Request]]:
    """Neighbours of the same length, task and ablation."""
    batch: list[Request] = []
    for request in requests:
        size = min(_LARGEST_BATCH, max(1, _BATCH_TOKENS // request.setting.length))
        if batch and (len(batch) >= size or replace(batch[0].setting, depth=None) != replace(request.setting, depth=None)):
            yield batch
            batch = []
        batch.append(request)
    if batch:
        yield batch


def _answers(model: Model, haystacks: Haystacks, batch: list[Request]) -> Iterator[tuple[Request, Setting, Trace]]:
    """Each request's trace: one, or under ablation one for each way to keep keys and values."""
    setting = batch[0].setting
    conditions: dict[str, Ablation | None] = {"": None}
    if setting.draw is not None:
        heads = RandomHeads(ablated_heads(model.n_layers * model.n_heads), seed=setting.draw, fresh=False)
        conditions = {"clean": Ablation(heads, commit="clean"), "ablated": Ablation(heads, commit="ablated")}
    samples = [_sample(model, request, haystacks) for request in batch]
    found = trace_conditions(model, samples, conditions, max_new_tokens=_NEW_TOKENS[setting.task])
    for request, traces in zip(batch, found, strict=True):
        for commit, trace in traces.items():
            yield request, replace(request.setting, commit=commit or None), trace


def _sample(model: Model, request: Request, haystacks: Haystacks) -> Sample:
    setting = request.setting
    if request.depth is None:
        return world(model, length=setting.length, seed=request.seed)
    return niah(model, length=setting.length, depth=request.depth, seed=request.seed, haystack=haystacks[setting.haystack])


def main() -> None:
    """Evaluate, print the tables, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="model folder, or mini")
    parser.add_argument("--prose", type=Path, required=True, help="folder of books in .txt files, as given to training")
    parser.add_argument("--questions", type=Path, help="file in HotpotQA's JSON layout, for its paragraphs")
    parser.add_argument("--essays", type=Path, help="text file, or folder of .txt files, off the web")
    parser.add_argument("--samples", type=int, default=EvaluateConfig.samples, help="of each cell")
    parser.add_argument("--seed", type=int, default=EvaluateConfig.seed, help="of the first sample")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    arguments = vars(parser.parse_args())
    out = arguments.pop("out")
    files = HaystackFiles(*(arguments.pop(name) for name in ("prose", "questions", "essays")))
    try:
        if out is not None and not out.parent.is_dir():
            raise InputError(f"the folder of {out} does not exist; make it, or name another with --out")
        evaluation = evaluate(EvaluateConfig(files=files, **arguments))
    except MechdynError as error:
        parser.exit(2, f"error: {error}\n")
    print_evaluation(evaluation)
    if out is not None:
        write_json(out, evaluation.as_json())


def print_evaluation(evaluation: Evaluation) -> None:
    """Both tables and the time taken."""
    n = sum(cell.n for cell in evaluation.cells)
    print(f"{goal_table(evaluation.cells)}\n\n{depth_table(evaluation.cells)}\n\n{n} answers in {evaluation.seconds:.0f} s")


if __name__ == "__main__":
    main()
