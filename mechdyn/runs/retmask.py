"""`mechdyn verify retmask`: every arm drawn, trained and evaluated with several seeds, and the verdict.

    folder/responses/ROLE-SEED.jsonl   what the models said, a line a prompt
    folder/models/ARM-SEED/            the trained models; those of controls go once they are evaluated
    folder/answers.jsonl               evaluated answers and drift
    folder/arms/ARM-SEED.json          what each arm came to

Each is gone on with where it was stopped.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from mechdyn.claims.retmask import BASE, CEILING, RULES, Arm, as_numbers, judge_retmask
from mechdyn.decoding.batches import in_batches
from mechdyn.evidence import Verdict
from mechdyn.heads import HeadSet, RankedHeads, parse_heads_or_file
from mechdyn.improve.evaluation import answer_key
from mechdyn.improve.plain import Plain
from mechdyn.improve.retmask.dpo import require_trl
from mechdyn.improve.task_samples import TaskSamples, prose_texts
from mechdyn.plans import EVALUATION, Plan, Preset, chosen_preset, named_preset, task_units
from mechdyn.runs.ablate import RESULTS, require_detection, save_ranking
from mechdyn.runs.configs import VerifyConfig
from mechdyn.runs.folder import read_record
from mechdyn.runs.improve import AnswerFile
from mechdyn.runs.improve_configs import ANSWERS
from mechdyn.runs.registered import Standing, noted, register, standing
from mechdyn.runs.retmask_arms import ArmResult, RetmaskInputs, losers, run_arm, settings_name, values_for
from mechdyn.runs.retmask_configs import RetmaskConfig
from mechdyn.runs.retmask_stages import listed_heads, over, prompts_of, settings_of, training_units
from mechdyn.runs.session import Session, check_samples
from mechdyn.runs.verify import VERDICTS
from mechdyn.stats.head_lists import concentration
from mechdyn.studies.conditions import DETECTION_ROLE
from mechdyn.tasks.sample import Sample
from mechdyn.tasks.task import build_sample
from mechdyn.traces.clusters import sample_clusters

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
        register(run.folder, RULES, ready.keys)
        base = _base_values(ready)
        if float(np.nanmean(base)) >= CEILING:
            return _conclude(ready, base, {}, {})
        off, facts = _found_heads(run)
        results: dict[str, list[ArmResult]] = {}
        for seed in range(config.seeds):
            for name, loser in losers(config, off, seed):
                results.setdefault(name, []).append(run_arm(ready, name, loser, seed))
        return _conclude(ready, base, results, facts)


def retmask_config(config: VerifyConfig) -> RetmaskConfig:
    """What `mechdyn verify retmask` was asked, all else as `mechdyn retmask verify` has it when left out."""
    known = {item.name for item in fields(VerifyConfig)}
    return RetmaskConfig(**{item.name: getattr(config, item.name) for item in fields(RetmaskConfig) if item.name in known})


def _prepare(run: Session) -> RetmaskInputs:
    units = task_units(run.request, chosen_preset(PRESETS, run.request), EVALUATION)
    check_samples(run.model, Plan({"evaluation": units}))
    samples = tuple(build_sample(run.model, unit.sample) for unit in units)
    tested = TaskSamples(run.config.task, samples, run.request.room)
    prompts = prompts_of(run)
    texts = prose_texts(run.model, n=N_TEXTS, length=min(TEXT_LENGTH, run.model.n_ctx), seed=run.config.seed)
    return RetmaskInputs(run, tested, prompts, texts, AnswerFile(run.folder / ANSWERS))


def _base_values(ready: RetmaskInputs) -> Float[np.ndarray, "1 sample"]:
    """How right the model is as it is; its answers are kept for every comparison."""
    base, tested = Plain(ready.run.model, BASE), ready.tested
    lacking = [sample for sample in tested.samples if answer_key(BASE, sample, tested.room) not in ready.kept]

    def ask(batch: list[Sample]) -> None:
        for sample, answer in zip(batch, base.answers(batch, max_new_tokens=tested.room), strict=True):
            ready.kept[answer_key(BASE, sample, tested.room)] = answer.as_json()

    for _ in in_batches([lacking], ready.run.batch_of(tested.samples), ask):
        pass
    return values_for(ready, BASE)[None]


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


def _conclude(
    ready: RetmaskInputs, base: Float[np.ndarray, "1 sample"], results: Mapping[str, Sequence[ArmResult]], facts: Mapping[str, Any]
) -> Retmasked:
    """The arms' numbers, the verdict and its files."""
    run, task = ready.run, ready.tested.task
    arms = {name: _arm(ready, name, found, base[0]) for name, found in results.items()}
    clusters = sample_clusters(ready.tested.samples).tolist()
    verdict = judge_retmask(Path(run.config.model).name, base, arms, clusters, task.primary, facts)
    verdict = noted(verdict, standing(read_record(run.folder), RULES, ready.keys))
    judged = {"metric": task.primary, "base": base.tolist(), "clusters": clusters, "samples": ready.keys}
    run.write(RESULTS, {**judged, "arms": {name: arm.as_json() for name, arm in arms.items()}})
    run.write(VERDICTS, [verdict.as_json()])
    return Retmasked(verdict, run.folder)


def _arm(ready: RetmaskInputs, name: str, found: Sequence[ArmResult], base: Float[np.ndarray, " sample"]) -> Arm:
    values = [base if each.counts.pairs == 0 else values_for(ready, f"{name}-{seed}") for seed, each in enumerate(found)]
    margins = tuple(math.nan if each.margin is None else each.margin for each in found)
    kl = tuple(math.nan if each.kl is None else each.kl for each in found)
    return Arm(np.stack(values), tuple(each.counts.pairs for each in found), margins, kl)


def judge_again(values: Mapping[str, Any], recorded: Verdict, found: Standing) -> Verdict:
    """The verdict once more, from what `results.json` says, with a note of whether its rules are those that were registered."""
    arms = {name: Arm.from_json(each) for name, each in values["arms"].items()}
    facts = {name: value for name, value in recorded.facts.items() if name not in ("samples", "seeds")}
    return noted(judge_retmask(recorded.model, as_numbers(values["base"]), arms, values["clusters"], values["metric"], facts), found)
