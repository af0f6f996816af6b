"""RetMask stage by stage: switch heads off in a saved checkpoint, contrast answers, train. Each goes on where it stopped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from mechdyn.decoding.batches import in_batches
from mechdyn.errors import InputError
from mechdyn.heads import HeadSet, RankedHeads, parse_heads_or_file
from mechdyn.improve.new_folder import new_folder
from mechdyn.improve.retmask.deactivate import save_deactivated
from mechdyn.improve.retmask.dpo import SETTINGS, DPOSettings, Trained, quiet_training, require_trl, train_dpo
from mechdyn.improve.retmask.losers import Loser, OtherModel, Rounded, WithoutHeads
from mechdyn.improve.retmask.preferences import PairCounts, Response, preferences, prompts_of_file, read_pairs
from mechdyn.improve.retmask.sampling import Sampling, sampled_answers
from mechdyn.models.load import load_model
from mechdyn.models.model import Model
from mechdyn.plans import DETECTION, Preset, chosen_preset, task_units
from mechdyn.registry import parse_spec
from mechdyn.runs.json_lines import append_lines, as_line, read_lines
from mechdyn.runs.retmask_configs import ContrastConfig, DeactivateConfig, RetmaskConfig, RetmaskTrainConfig, TrainOptions
from mechdyn.runs.session import Session
from mechdyn.tasks.sample import Sample
from mechdyn.tasks.task import build_sample
from mechdyn.traces.unit import Unit

INTACT, WORSE = "intact", "worse"
"""The roles of a contrast."""
PAIRS, COUNTS = "pairs", "pairs.json"
PROMPTS = {
    "quick": Preset((256,), n_seeds=16),
    "standard": Preset((256, 512), n_seeds=40),
    "paper": Preset((1000, 2000, 3000, 4000, 5000), n_seeds=100),
}
"""Prompts to train on, where no file has them: samples of the task that no evaluation sees."""


@dataclass(frozen=True)
class Contrasted:
    """The folder of a contrast, its data set of pairs within, and how many prompts gave one."""

    folder: Path
    pairs: Path
    counts: PairCounts


def deactivate(config: DeactivateConfig, out: str | Path) -> tuple[Path, HeadSet]:
    """Save a checkpoint without the heads; its folder, and which heads they were."""
    model = load_model(config.model)
    off = listed_heads(config.heads, config.tau, model)
    return save_deactivated(model, off, out), off


def contrast(config: ContrastConfig, out: str | Path | None = None) -> Contrasted:
    """Answer the same prompts with the intact and the worse model, and save the pairs.

    The folder holds `run.json`, the answers of both (`intact.jsonl`, `worse.jsonl`, a line each), `pairs.json` with the counts, and
    `pairs/`, a data set of TRL's layout. Run again, it goes on behind the last prompt that was answered.

    Raises:
        InputError: heads of another model, prompts that cannot be read, or no pairs left.
    """
    if bool(config.heads) == bool(config.weaker):
        raise InputError("a contrast is with heads switched off (--heads) or with another model (--weaker); give one of the two")
    with Session.open(config, out) as run:
        loser = weaker_model(config.weaker) if config.weaker else WithoutHeads(listed_heads(config.heads, config.tau, run.model))
        prompts = prompts_of(run)
        chosen = said(run, run.model, prompts, sampling_of(run), INTACT, run.folder / f"{INTACT}.jsonl")
        with loser.of(run.model) as worse:
            rejected = said(run, worse, prompts, sampling_of(run), WORSE, run.folder / f"{WORSE}.jsonl")
        responses = paired(prompts, chosen, rejected)
        counts = PairCounts.of(responses)
        run.write(COUNTS, {"loser": loser.as_json(), **vars(counts)})
        pairs = preferences(run.model.tokenizer, prompts, responses)
        if not (run.folder / PAIRS).exists():
            with quiet_training(), new_folder(run.folder / PAIRS) as partial:
                pairs.save_to_disk(str(partial))
        return Contrasted(run.folder, run.folder / PAIRS, counts)


def train(config: RetmaskTrainConfig, out: str | Path) -> Trained:
    """Train on a folder of pairs; the model is saved in `out`, and a training that was stopped goes on from its last checkpoint.

    Raises:
        InputError: TRL is not installed, no folder of pairs, or a folder of the model's that is there already.
    """
    require_trl()
    if not config.pairs:
        raise InputError("pairs to train on are wanted; give --pairs FOLDER, such as the pairs/ that `mechdyn retmask contrast` writes")
    return train_dpo(config.model, read_pairs(config.pairs), settings_of(config, config.settings, config.seed), out)


def settings_of(options: TrainOptions, name: str, seed: int) -> DPOSettings:
    """Named settings, with what was asked to be otherwise.

    Raises:
        InputError: no such settings.
    """
    if name not in SETTINGS:
        raise InputError(f"unknown settings {name!r}; give one of {', '.join(SETTINGS)}")
    settings = replace(SETTINGS[name], seed=seed, lora_rank=options.lora)
    if options.learning_rate is not None:
        settings = replace(settings, learning_rate=options.learning_rate, final_rate=options.learning_rate / 10)
    if options.epochs is not None:
        settings = replace(settings, epochs=options.epochs)
    return settings if options.rows is None else replace(settings, rows=options.rows)


def listed_heads(text: str, tau: float, model: Model) -> HeadSet:
    """The heads that are named; of a ranking those with a score of `tau` or more (the published rule).

    Raises:
        InputError: heads of another model, none at all, or a ranking without scores.
    """
    if not text:
        raise InputError("heads to switch off are wanted; give --heads, such as 'L3H6 L4H1' or a file that `mechdyn heads detect` wrote")
    found = parse_heads_or_file(text).fit(model.n_layers, model.n_heads)
    return over(found, tau) if isinstance(found, RankedHeads) else found


def over(ranking: RankedHeads, tau: float) -> HeadSet:
    """The heads of a ranking with a score of `tau` or more.

    Raises:
        InputError: there is none, or the scores are not known.
    """
    k = sum(score >= tau for score in ranking.scores)
    if k == 0:
        best = f"the highest is {max(ranking.scores):.3g}" if ranking.scores else "it is empty"
        raise InputError(f"no head of the ranking scores {tau} or more ({best}); give a lower --tau, or take the first K with FILE:top=K")
    return ranking.top(k)


def weaker_model(text: str) -> Loser:
    """`rounded:bits=4`, or a model by name."""
    name, options = parse_spec(text) if text.startswith("rounded") else (text, {})
    if name != "rounded":
        return OtherModel(load_model(text))
    if set(options) - {"bits"} or not isinstance(options.get("bits", 4), int):
        raise InputError(f"a model with rounded weights is written rounded:bits=4, got {text!r}")
    return Rounded(**options)


def prompts_of(run: Session) -> list[Sample]:
    """What both models answer: the prompts of a file, or samples of the task that no evaluation sees."""
    config: ContrastConfig | RetmaskConfig = run.config
    if config.prompts is not None:
        return prompts_of_file(run.model, config.prompts)
    return [build_sample(run.model, unit.sample) for unit in training_units(run)]


def training_units(run: Session) -> tuple[Unit, ...]:
    """Samples of the task that no evaluation sees; the lengths and samples that a verdict is asked for are those of its evaluation."""
    asked = run.request if isinstance(run.config, ContrastConfig) else replace(run.request, lengths=(), runs=None)
    return task_units(asked, chosen_preset(PROMPTS, asked), DETECTION)


def sampling_of(run: Session, seed: int = 0) -> Sampling:
    """How answers are drawn; `seed` counts the arms' repetitions."""
    config: ContrastConfig | RetmaskConfig = run.config
    return Sampling(config.temperature, config.response_tokens or run.request.room, config.seed * 1000 + seed)


Said = Mapping[str, Mapping[str, object]]
"""What a model said, by the prompt's key: its text, and why it stopped."""


def said(run: Session, model: Model, prompts: Sequence[Sample], sampling: Sampling, role: str, path: Path) -> Said:
    """What a model says to each prompt, by the prompt's key; what the file has already is not asked again."""
    found = {str(row["prompt"]): row for row in read_lines(path, dict)}
    lacking = [sample for sample in prompts if sample.key not in found]

    with tqdm(total=len(lacking), desc=f"{run.config.kind}: {role}", unit="answer", disable=None, delay=1) as bar:

        def ask(batch: list[Sample]) -> None:
            answers = sampled_answers(model, batch, sampling, role)
            both = zip(batch, answers, strict=True)
            rows = [{"prompt": sample.key, "text": answer.text, "stopped": answer.stopped} for sample, answer in both]
            append_lines(path, "".join(map(as_line, rows)))
            found.update({str(row["prompt"]): row for row in rows})
            bar.update(len(batch))

        for _ in in_batches([lacking], run.batch_of(prompts), ask):
            pass
    return {sample.key: found[sample.key] for sample in prompts}


def paired(prompts: Sequence[Sample], chosen: Said, rejected: Said) -> list[Response]:
    """What both said, prompt by prompt."""
    rows = []
    for key in dict.fromkeys(sample.key for sample in prompts):
        both = {"chosen": chosen[key], "rejected": rejected[key]}
        cut = tuple(role for role, row in both.items() if row["stopped"] == "length")
        rows.append(Response(key, str(both["chosen"]["text"]), str(both["rejected"]["text"]), cut))
    return rows
