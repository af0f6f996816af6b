"""`mechdyn heads detect`: rank a model's heads by a score, stop when the first are stable, say how far the list can be trusted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from mechdyn.decoding.sources import texts_in_place
from mechdyn.errors import InputError
from mechdyn.heads import Head, RankedHeads
from mechdyn.models.model import Model
from mechdyn.plans import Plan, chosen_preset, named_preset
from mechdyn.runs.configs import DetectConfig
from mechdyn.runs.own_heads import write_own_heads
from mechdyn.runs.reads import Reads
from mechdyn.runs.session import Session, Traces, check_samples
from mechdyn.scores.counting import Counting
from mechdyn.scores.prompt import PromptScore
from mechdyn.scores.score import NamedScore
from mechdyn.stats.head_ranking import Agreement, HeadScores, SplitHalf, split_half, stability
from mechdyn.stats.interval import Interval
from mechdyn.stats.means import mean_interval
from mechdyn.studies.detection import (
    PRESETS,
    Counted,
    Detector,
    Expectation,
    as_detector,
    asked_of,
    count_trace,
    drop_counts,
    head_scores,
    is_stable,
    reached,
    rounds,
)
from mechdyn.tasks.documents import asked_documents
from mechdyn.tasks.sample import Sample
from mechdyn.tasks.task import build_sample
from mechdyn.traces.trace import Trace
from mechdyn.traces.unit import Unit

if TYPE_CHECKING:
    from mechdyn.runs.worker import Worker

HEADS, RESULTS = "heads.json", "results.json"
Rounds = Mapping[str, Sequence[Unit]]
Enough = Callable[[Sequence[Counted]], bool]


@dataclass(frozen=True)
class CellCount:
    """How many samples of a length and depth were taken of those asked: the share with Wilson's 95 % interval."""

    length: int
    depth: float
    asked: int
    taken: Interval

    @property
    def n_taken(self) -> int:
        return round(self.taken.estimate * self.asked)

    def as_json(self) -> dict[str, Any]:
        return {"length": self.length, "depth": self.depth, "asked": self.asked, "taken": _json(vars(self.taken))}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "CellCount":
        return cls(values["length"], values["depth"], values["asked"], Interval.from_json(values["taken"]))


@dataclass(frozen=True, eq=False)
class Detected:
    """A ranking, and what it rests on.

    Attributes:
        name: the score.
        ranking: all heads, with each sample's score.
        intervals: of each head in the ranking's order, 95 %, needles resampled.
        k: how many of the first heads `stable`, `agreement` and `halves` are about.
        stable: whether resampled lists agree well enough (docs/definitions.md, "Detection").
        agreement: how far they do.
        halves: split-half reliability.
        cells: samples taken by length and depth.
        dropped: samples not taken, by reason.
        n_needles: needles among the samples taken.
        folder: the run's.
    """

    name: str
    ranking: RankedHeads
    intervals: tuple[Interval, ...]
    k: int
    stable: bool
    agreement: Agreement
    halves: SplitHalf
    cells: tuple[CellCount, ...]
    dropped: Mapping[str, int]
    n_needles: int
    folder: Path

    def as_json(self) -> dict[str, Any]:
        """All but the ranking itself, which `heads.json` has, as JSON values."""
        rows = zip(self.ranking.heads, self.intervals, strict=True)
        return {
            "score": self.name,
            "statistic": self.ranking.statistic,
            "samples": self.ranking.n,
            "needles": self.n_needles,
            "k": self.k,
            "stable": self.stable,
            "agreement": _json(vars(self.agreement)),
            "halves": _json(vars(self.halves)),
            "cells": [cell.as_json() for cell in self.cells],
            "dropped": dict(self.dropped),
            "heads": [{"head": str(head), **_json(vars(interval))} for head, interval in rows],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any], ranking: RankedHeads, folder: Path) -> "Detected":
        """What `as_json` gave, with the ranking."""
        intervals = {Head.parse(row["head"]): Interval.from_json(row) for row in values["heads"]}
        return cls(
            name=values["score"],
            ranking=ranking,
            intervals=tuple(intervals[head] for head in ranking.heads),
            k=values["k"],
            stable=values["stable"],
            agreement=Agreement(**_numbers(values["agreement"])),
            halves=SplitHalf(**_numbers(values["halves"])),
            cells=tuple(map(CellCount.from_json, values["cells"])),
            dropped=values["dropped"],
            n_needles=values["needles"],
            folder=folder,
        )


def detect(config: DetectConfig, out: str | Path | None = None) -> Detected:
    """Rank the heads; the folder holds `run.json`, `heads.json`, `results.json`, and the traces or what was read of the prompts.

    Run again, it goes on where it stopped.

    Raises:
        InputError: options that do not go together; also where no sample was taken, or no head has a score other than 0: a list of that
            would be one of nothing.
    """
    named_preset(PRESETS, config.preset)
    with Session.open(config, out) as run:
        detector = as_detector(config.score or run.request.task.score)
        run.resolve(score=config.score or run.request.task.score)
        found = _found(run, detector)
        scores = head_scores(found, run.model.n_layers, run.model.n_heads)
        detected = _detected(run, detector, found, scores)
        write_own_heads(run.folder / HEADS, detected.ranking)
        run.write(RESULTS, detected.as_json())
        return detected


def _found(run: Session, detector: Detector) -> list[Counted]:
    """Samples round after round, until the list is stable or there are no more."""
    config, shape = run.config, (run.model.n_layers, run.model.n_heads)
    # A score of prompts is none that units could name; theirs only say which samples are meant.
    request = replace(run.request, score=detector.score.short if isinstance(detector.score, NamedScore) else None)
    planned = rounds(request, chosen_preset(PRESETS, request))

    def enough(found: Sequence[Counted]) -> bool:
        return config.until_stable and is_stable(head_scores(found, *shape), config.k, seed=config.seed)

    if isinstance(detector.score, NamedScore):
        return _from_traces(run, planned, detector.score.counting, enough)
    return _from_prompts(run, planned, detector.score.score, enough)


def _from_traces(run: Session, planned: Rounds, counting: Counting, enough: Enough) -> list[Counted]:
    found: dict[str, list[Counted]] = {}

    def plan(traces: Traces) -> Plan:
        """The rounds so far, and the next one where they are not enough."""
        for name in traces:
            if name not in found:
                pairs = zip(traces[name], planned[name], strict=True)
                found[name] = [_counted(run.model, trace, unit, counting) for trace, unit in pairs]
        done = [each for row in found.values() for each in row]
        names = list(planned)[: len(found) + (0 if done and enough(done) else 1)]
        return Plan({name: tuple(planned[name]) for name in names})

    run.traces(plan, describe=_describe(run))
    return [each for row in found.values() for each in row]


def _counted(model: Model, trace: Trace, unit: Unit, counting: Counting) -> Counted:
    asked = _asked(model, build_sample(model, unit.sample))
    return count_trace(trace, asked, counting, texts_in_place(model.tokenizer, trace.tokens.tolist()))


def _from_prompts(run: Session, planned: Rounds, score: PromptScore, enough: Enough) -> list[Counted]:
    units = [unit for row in planned.values() for unit in row]
    check_samples(run.model, Plan({"detection": tuple(units)}))
    for unit in (units[0], units[-1]):
        asked_documents(run.model, build_sample(run.model, unit.sample))
    reads, found = Reads(run.folder / "reads"), list[Counted]()
    size = run.model.n_layers * run.model.n_heads
    with tqdm(total=len(units), desc=_describe(run), unit="prompt", disable=None, delay=1) as bar:
        for row in planned.values():
            known = {unit.key: reads.find(unit.key, size) for unit in row}
            lacking = [unit for unit in row if known[unit.key] is None]
            bar.update(len(row) - len(lacking))
            for outcome in run.executor.run(read_prompt, lacking, score):
                if outcome.lost is not None:
                    raise outcome.lost.error()
                known[lacking[outcome.index].key] = outcome.result
                reads.keep(lacking[outcome.index].key, outcome.result)
                bar.update()
            found += [Counted(_asked(run.model, build_sample(run.model, unit.sample)), known[unit.key]) for unit in row]
            if enough(found):
                break
    return found


def read_prompt(worker: "Worker", unit: Unit, score: PromptScore) -> Float[np.ndarray, " head"]:
    """What a score reads of one prompt, layer by layer."""
    from mechdyn.studies.question_rows import read_documents  # runs the model

    asked = asked_documents(worker.model, build_sample(worker.model, unit.sample))
    return score(read_documents(worker.model, asked), asked.gold).flatten().double().numpy()


def _asked(model: Model, sample: Sample) -> Expectation:
    return asked_of(sample, len(model.tokenizer(sample.answer, add_special_tokens=False)["input_ids"]))


def _describe(run: Session) -> str:
    return f"heads of {Path(run.config.model).name} by {run.config.score}, {run.request.task.name}"


def _detected(run: Session, detector: Detector, found: Sequence[Counted], scores: HeadScores | None) -> Detected:
    dropped = drop_counts(found)
    if scores is None:
        reasons = "; ".join(f"{n}: {reason}" for reason, n in dropped.items())
        raise InputError(
            f"none of the {len(found)} samples counts for {detector.name}, so there is no list ({reasons}); take shorter "
            "lengths, another task or score, or a model that answers"
        )
    if not scores.sums.any():
        raise InputError(
            f"every head scores 0 by {detector.name} on all {len(scores.sums)} samples, so there is no list; take another score or task"
        )
    k, seed = min(run.config.k, scores.sums.shape[1]), run.config.seed
    ranking = scores.ranking(detector.statistic, run.model.identity()["name"])
    by_flat = scores.intervals(seed=seed)
    agreement = stability(scores, k, seed=seed)
    return Detected(
        name=detector.name,
        ranking=ranking,
        intervals=tuple(by_flat[head.layer * scores.n_heads + head.head] for head in ranking.heads),
        k=k,
        stable=is_stable(scores, k, seed=seed) and reached(agreement),
        agreement=agreement,
        halves=split_half(scores, k, seed=seed),
        cells=_cells(found),
        dropped=dropped,
        n_needles=scores.n_needles,
        folder=run.folder,
    )


def _cells(found: Sequence[Counted]) -> tuple[CellCount, ...]:
    by_cell: dict[tuple[int, float], list[bool]] = {}
    for each in found:
        by_cell.setdefault(each.asked.cell, []).append(not each.dropped)
    return tuple(CellCount(*cell, len(taken), mean_interval(np.array(taken, dtype=np.float64))) for cell, taken in sorted(by_cell.items()))


def _json(values: Mapping[str, Any]) -> dict[str, Any]:
    """NaN, which JSON has not, becomes null."""
    return {name: None if value != value else value for name, value in values.items()}


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: float("nan") if value is None else value for name, value in values.items()}
