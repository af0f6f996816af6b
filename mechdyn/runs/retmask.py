"""`mechdyn verify retmask`: every arm drawn, trained and evaluated with several seeds, and the verdict.

    folder/responses/ROLE-SEED.jsonl   what the models said, a line a prompt
    folder/models/ARM-SEED/            the trained models; those of controls go once they are evaluated
    folder/answers.jsonl               evaluated answers and drift
    folder/arms/ARM-SEED.json          what each arm came to

Each is gone on with where it was stopped.
"""

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from mechdyn.claims.retmask import (
    ALL_HEADS,
    BASE,
    CEILING,
    NON_RETRIEVAL,
    RETMASK,
    WEAKER,
    Arm,
    as_numbers,
    judge_retmask,
)
from mechdyn.decoding.batches import in_batches
from mechdyn.evidence import Verdict
from mechdyn.heads import HeadSet, RankedHeads, parse_heads_or_file
from mechdyn.improve.evaluation import answer_key, evaluate
from mechdyn.improve.plain import Plain
from mechdyn.improve.retmask.dpo import Trained, require_trl, train_dpo
from mechdyn.improve.retmask.losers import Loser, Rounded, WithoutHeads
from mechdyn.improve.retmask.preferences import PairCounts, preferences
from mechdyn.improve.task_samples import TaskSamples, prose_texts, values_of
from mechdyn.models.load import load_model
from mechdyn.plans import EVALUATION, Plan, Preset, chosen_preset, named_preset, task_units
from mechdyn.runs.ablate import RESULTS, require_detection, save_ranking
from mechdyn.runs.configs import VerifyConfig
from mechdyn.runs.folder import read_json, write_json
from mechdyn.runs.improve import AnswerFile
from mechdyn.runs.improve_configs import ANSWERS
from mechdyn.runs.retmask_configs import RetmaskConfig
from mechdyn.runs.retmask_stages import (
    listed_heads,
    over,
    paired,
    prompts_of,
    said,
    sampling_of,
    settings_of,
    training_units,
    weaker_model,
)
from mechdyn.runs.session import Session, check_samples
from mechdyn.runs.verify import VERDICTS
from mechdyn.stats.head_lists import concentration
from mechdyn.studies.conditions import DETECTION_ROLE
from mechdyn.studies.random_lists import random_lists
from mechdyn.tasks.sample import Sample
from mechdyn.tasks.task import build_sample
from mechdyn.traces.clusters import sample_clusters

if TYPE_CHECKING:
    from datasets import Dataset

PRESETS = {
    "quick": Preset((512, 1024), n_seeds=10),
    "standard": Preset((1024, 2048), n_seeds=40),
    "paper": Preset((8192, 16_384, 32_768, 65_536), n_seeds=40),
}
"""Samples to evaluate on: longer than what is trained on, as published."""
N_TEXTS, TEXT_LENGTH = 8, 256
"""Texts with nothing to retrieve in them, on which drift is measured."""


@dataclass(frozen=True)
class Retmasked:
    """The verdict, and the folder of the run."""

    verdict: Verdict
    folder: Path


@dataclass(frozen=True, eq=False)
class _Prepared:
    """What all arms share."""

    run: Session
    tested: TaskSamples
    prompts: Sequence[Sample]
    texts: tuple[Tensor, ...]
    kept: AnswerFile


@dataclass(frozen=True)
class _Result:
    """What one training of one arm came to, as its file has it."""

    counts: PairCounts
    margin: float | None
    kl: float | None

    def as_json(self) -> dict[str, Any]:
        return {"counts": vars(self.counts), "margin": self.margin, "kl": self.kl}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "_Result":
        return cls(PairCounts(**values["counts"]), values["margin"], values["kl"])


def retmask(config: RetmaskConfig, out: str | Path | None = None) -> Retmasked:
    """Run every arm with every seed and judge; run again, it goes on where it stopped.

    Where the base leaves no room to improve, nothing is trained, and the verdict says so.

    Raises:
        InputError: TRL is not installed, choices that cannot be run, or no pairs left for RetMask itself.
    """
    require_trl()
    settings_of(config, settings_name(config), 0)
    named_preset(PRESETS, config.preset)
    with Session.open(config, out) as run:
        ready = _prepare(run)
        base = _base_values(ready)
        if float(np.nanmean(base)) >= CEILING:
            return _conclude(ready, base, {}, {})
        off, facts = _found_heads(run)
        results: dict[str, list[_Result]] = {}
        for seed in range(config.seeds):
            for name, loser in _losers(config, off, seed):
                results.setdefault(name, []).append(_run_arm(ready, name, loser, seed))
        return _conclude(ready, base, results, facts)


def retmask_config(config: VerifyConfig) -> RetmaskConfig:
    """What `mechdyn verify retmask` was asked, all else as `mechdyn retmask verify` has it when left out."""
    known = {item.name for item in fields(VerifyConfig)}
    return RetmaskConfig(**{item.name: getattr(config, item.name) for item in fields(RetmaskConfig) if item.name in known})


def settings_name(config: RetmaskConfig) -> str:
    """The settings that a preset trains with."""
    return "paper" if config.preset == "paper" else "quick"


def _prepare(run: Session) -> _Prepared:
    units = task_units(run.request, chosen_preset(PRESETS, run.request), EVALUATION)
    check_samples(run.model, Plan({"evaluation": units}))
    samples = tuple(build_sample(run.model, unit.sample) for unit in units)
    tested = TaskSamples(run.config.task, samples, run.request.room)
    prompts = prompts_of(run)
    texts = prose_texts(run.model, n=N_TEXTS, length=min(TEXT_LENGTH, run.model.n_ctx), seed=run.config.seed)
    return _Prepared(run, tested, prompts, texts, AnswerFile(run.folder / ANSWERS))


def _base_values(ready: _Prepared) -> Float[np.ndarray, "1 sample"]:
    """How right the model is as it is; its answers are kept for every comparison."""
    base, tested = Plain(ready.run.model, BASE), ready.tested
    lacking = [sample for sample in tested.samples if answer_key(BASE, sample, tested.room) not in ready.kept]

    def ask(batch: list[Sample]) -> None:
        for sample, answer in zip(batch, base.answers(batch, max_new_tokens=tested.room), strict=True):
            ready.kept[answer_key(BASE, sample, tested.room)] = answer.as_json()

    for _ in in_batches([lacking], ready.run.config.batch_size, ask):
        pass
    return _values(ready, BASE)[None]


def _values(ready: _Prepared, variant: str) -> Float[np.ndarray, " sample"]:
    """The task's own metric of a variant's answers, from those that are kept."""
    tested = ready.tested
    rows = [ready.kept[answer_key(variant, sample, tested.room)] for sample in tested.samples]
    return values_of(tested, [None if row["stopped"] == "error" else row["text"] for row in rows])[tested.task.primary]


def _found_heads(run: Session) -> tuple[HeadSet, dict[str, Any]]:
    """The heads to switch off, and what is to be said of them: how concentrated the scores are, where there are scores."""
    config: RetmaskConfig = run.config
    if config.heads:
        named = parse_heads_or_file(config.heads)
        ranking = named.fit(run.model.n_layers, run.model.n_heads) if isinstance(named, RankedHeads) else None
        off = listed_heads(config.heads, config.tau, run.model)
    else:
        units = training_units(run)
        detection = require_detection(run.traces(Plan({DETECTION_ROLE: units}))[DETECTION_ROLE])
        save_ranking(detection, run.folder, run.model, units[0].decoding["score"])
        ranking, off = detection.ranking, over(detection.ranking, config.tau)
    facts: dict[str, Any] = {"heads": [str(head) for head in off]}
    if ranking is not None:
        found = concentration(ranking)
        facts |= {"gini": found.gini, "effective_heads": found.effective, "all_heads": run.model.n_layers * run.model.n_heads}
    return off, facts


def _losers(config: RetmaskConfig, off: HeadSet, seed: int) -> Iterator[tuple[str, Loser]]:
    """What each arm's answers are contrasted with; random heads are drawn afresh for each seed."""
    yield RETMASK, WithoutHeads(off)
    nothing = HeadSet(frozenset(), off.n_layers, off.n_heads)
    for name, excluded in ((NON_RETRIEVAL, off), (ALL_HEADS, nothing)):
        yield name, WithoutHeads(random_lists(len(off), excluded, seed + 1, config.seed)[seed])
    yield WEAKER, weaker_model(config.weaker) if config.weaker else Rounded()


def _run_arm(ready: _Prepared, name: str, loser: Loser, seed: int) -> _Result:
    """Contrast, train and evaluate one model of one arm, or read what it came to."""
    run, called = ready.run, f"{name}-{seed}"
    path = run.folder / "arms" / f"{called}.json"
    if path.is_file():
        return _Result.from_json(read_json(path))
    pairs, counts = _pairs(ready, name, loser, seed)
    if pairs is None:
        found = _Result(counts, None, None)
    else:
        run.log.write("stage", arm=called, pairs=counts.pairs)
        trained = _trained(ready, pairs, called, seed)
        found = _Result(counts, trained.margins[1], _evaluated(ready, called, trained.folder))
        if name != RETMASK and not run.config.keep_models:
            shutil.rmtree(trained.folder)
    path.parent.mkdir(exist_ok=True)
    write_json(path, found.as_json())
    return found


def _pairs(ready: _Prepared, name: str, loser: Loser, seed: int) -> tuple["Dataset | None", PairCounts]:
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


def _trained(ready: _Prepared, pairs: "Dataset", called: str, seed: int) -> Trained:
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


def _evaluated(ready: _Prepared, called: str, folder: Path) -> float:
    """Answer with a trained model; what is given back is its divergence from the base on texts without retrieval."""
    run = ready.run
    model = load_model(folder, device=run.config.device, dtype=run.config.dtype)
    found = evaluate(
        Plain(run.model, BASE),
        [Plain(model, called)],
        [ready.tested],
        texts=ready.texts,
        batch_size=run.config.batch_size,
        kept=ready.kept,
        seed=run.config.seed,
        describe=f"{run.config.kind}: {called}",
    )
    return found.drifts[0].kl.estimate


def _conclude(
    ready: _Prepared, base: Float[np.ndarray, "1 sample"], results: Mapping[str, Sequence[_Result]], facts: Mapping[str, Any]
) -> Retmasked:
    """The arms' numbers, the verdict and its files."""
    run, task = ready.run, ready.tested.task
    arms = {name: _arm(ready, name, found, base[0]) for name, found in results.items()}
    clusters = sample_clusters(ready.tested.samples).tolist()
    verdict = judge_retmask(Path(run.config.model).name, base, arms, clusters, task.primary, facts)
    judged = {"metric": task.primary, "base": base.tolist(), "clusters": clusters}
    run.write(RESULTS, {**judged, "arms": {name: arm.as_json() for name, arm in arms.items()}})
    run.write(VERDICTS, [verdict.as_json()])
    return Retmasked(verdict, run.folder)


def _arm(ready: _Prepared, name: str, found: Sequence[_Result], base: Float[np.ndarray, " sample"]) -> Arm:
    values = [base if each.counts.pairs == 0 else _values(ready, f"{name}-{seed}") for seed, each in enumerate(found)]
    margins = tuple(math.nan if each.margin is None else each.margin for each in found)
    kl = tuple(math.nan if each.kl is None else each.kl for each in found)
    return Arm(np.stack(values), tuple(each.counts.pairs for each in found), margins, kl)


def judge_again(values: Mapping[str, Any], recorded: Verdict) -> Verdict:
    """The verdict once more, from what `results.json` says."""
    arms = {name: Arm.from_json(each) for name, each in values["arms"].items()}
    facts = {name: value for name, value in recorded.facts.items() if name not in ("samples", "seeds")}
    return judge_retmask(recorded.model, as_numbers(values["base"]), arms, values["clusters"], values["metric"], facts)
