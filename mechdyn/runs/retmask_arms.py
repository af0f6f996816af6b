"""One arm of RetMask's verdict: contrast, train and evaluate one model, each part going on where it was stopped."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from mechdyn.claims.retmask import ALL_HEADS, BASE, NON_RETRIEVAL, RETMASK, WEAKER
from mechdyn.heads import HeadSet
from mechdyn.improve.evaluation import answer_key, evaluate
from mechdyn.improve.plain import Plain
from mechdyn.improve.retmask.dpo import Trained, train_dpo
from mechdyn.improve.retmask.losers import Loser, Rounded, WithoutHeads
from mechdyn.improve.retmask.preferences import PairCounts, preferences
from mechdyn.improve.task_samples import TaskSamples, values_of
from mechdyn.models.load import load_model
from mechdyn.runs.folder import read_json, write_json
from mechdyn.runs.improve import AnswerFile
from mechdyn.runs.retmask_configs import RetmaskConfig
from mechdyn.runs.retmask_stages import paired, said, sampling_of, settings_of, weaker_model
from mechdyn.runs.session import Session
from mechdyn.studies.random_lists import random_lists
from mechdyn.tasks.sample import Sample

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True, eq=False)
class RetmaskInputs:
    """What all arms share."""

    run: Session
    tested: TaskSamples
    prompts: Sequence[Sample]
    texts: tuple[Tensor, ...]
    kept: AnswerFile

    @property
    def keys(self) -> dict[str, list[str]]:
        """The samples that a verdict rests on, and those that are trained on."""
        return {"evaluation": [sample.key for sample in self.tested.samples], "training": [sample.key for sample in self.prompts]}


@dataclass(frozen=True)
class ArmResult:
    """What one training of one arm came to, as its file has it."""

    counts: PairCounts
    margin: float | None
    kl: float | None

    def as_json(self) -> dict[str, Any]:
        return {"counts": vars(self.counts), "margin": self.margin, "kl": self.kl}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "ArmResult":
        return cls(PairCounts(**values["counts"]), values["margin"], values["kl"])


def settings_name(config: RetmaskConfig) -> str:
    """The settings that a preset trains with."""
    return "paper" if config.preset == "paper" else "quick"


def losers(config: RetmaskConfig, off: HeadSet, seed: int) -> Iterator[tuple[str, Loser]]:
    """What each arm's answers are contrasted with; random heads are drawn afresh for each seed."""
    yield RETMASK, WithoutHeads(off)
    nothing = HeadSet(frozenset(), off.n_layers, off.n_heads)
    for name, excluded in ((NON_RETRIEVAL, off), (ALL_HEADS, nothing)):
        yield name, WithoutHeads(random_lists(len(off), excluded, seed + 1, config.seed)[seed])
    yield WEAKER, weaker_model(config.weaker) if config.weaker else Rounded()


def run_arm(ready: RetmaskInputs, name: str, loser: Loser, seed: int) -> ArmResult:
    """Contrast, train and evaluate one model of one arm, or read what it came to."""
    run, called = ready.run, f"{name}-{seed}"
    path = run.folder / "arms" / f"{called}.json"
    if path.is_file():
        return ArmResult.from_json(read_json(path))
    pairs, counts = _pairs(ready, name, loser, seed)
    if pairs is None:
        found = ArmResult(counts, None, None)
    else:
        run.log.write("stage", arm=called, pairs=counts.pairs)
        trained = _trained(ready, pairs, called, seed)
        found = ArmResult(counts, trained.margins[1], _evaluated(ready, called, trained.folder))
        if name != RETMASK and not run.config.keep_models:
            shutil.rmtree(trained.folder)
    path.parent.mkdir(exist_ok=True)
    write_json(path, found.as_json())
    return found


def _pairs(ready: RetmaskInputs, name: str, loser: Loser, seed: int) -> tuple["Dataset | None", PairCounts]:
    """The arm's data set. The intact model's answers are the same for all arms of a seed; a control without any pair has none.

    Raises:
        InputError: RetMask itself has no pairs.
    """
    run, answers, sampling = ready.run, ready.run.folder / "responses", sampling_of(ready.run, seed)
    chosen = said(run, run.model, ready.prompts, sampling, "intact", answers / f"intact-{seed}.jsonl")
    with loser.of(run.model) as worse:
        rejected = said(run, worse, ready.prompts, sampling, name, answers / f"{name}-{seed}.jsonl")
    responses = paired(ready.prompts, chosen, rejected)
    counts = PairCounts.of(responses)
    if counts.pairs == 0 and name != RETMASK:
        return None, counts
    return preferences(run.model.tokenizer, ready.prompts, responses), counts


def _trained(ready: RetmaskInputs, pairs: "Dataset", called: str, seed: int) -> Trained:
    """The arm's model; one that an interrupted run has trained already is taken as it is."""
    run = ready.run
    config: RetmaskConfig = run.config
    folder, log = run.folder / "models" / called, run.folder / "training" / f"{called}.json"
    folder.parent.mkdir(exist_ok=True)
    log.parent.mkdir(exist_ok=True)
    if folder.exists() and log.is_file():
        return Trained(folder, read_json(log))
    shutil.rmtree(folder, ignore_errors=True)
    settings = settings_of(config, settings_name(config), config.seed * 1000 + seed)
    trained = train_dpo(config.model, pairs, settings, folder)
    write_json(log, list(trained.log))
    return trained


def _evaluated(ready: RetmaskInputs, called: str, folder: Path) -> float:
    """Answer with a trained model; what is given back is its divergence from the base on texts without retrieval."""
    run = ready.run
    model = load_model(folder, device=run.config.device, dtype=run.config.dtype)
    found = evaluate(
        Plain(run.model, BASE),
        [Plain(model, called)],
        [ready.tested],
        texts=ready.texts,
        batch_size=run.batch_of(ready.tested.samples),
        kept=ready.kept,
        seed=run.config.seed,
        describe=f"{run.config.kind}: {called}",
    )
    return found.drifts[0].kl.estimate


def values_for(ready: RetmaskInputs, variant: str) -> Float[np.ndarray, " sample"]:
    """The task's own metric of a variant's answers, from those that are kept."""
    tested = ready.tested
    rows = [ready.kept[answer_key(variant, sample, tested.room)] for sample in tested.samples]
    return values_of(tested, [None if row["stopped"] == "error" else row["text"] for row in rows])[tested.task.primary]
