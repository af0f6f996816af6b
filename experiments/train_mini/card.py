"""Write a trained model's card: `python -m experiments.train_mini.card --model DIR --run FOLDER [--evaluation FILE]`.

The recipe comes from the run's `config.json` and `log.jsonl`, numbers from the evaluation, the architecture from the model itself. A model
that has its card and was measured again needs no `--run`: its evaluation is replaced, and the rest of the card stays.
"""

import argparse
import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

from safetensors import safe_open

from experiments.train_mini.cells import Evaluation, Row, ablated_heads, depth_table, describe, goal_table, read_evaluation, rows
from experiments.train_mini.config import Round, Stage, TrainConfig
from experiments.train_mini.passages import SHARES
from experiments.train_mini.scripts import SCRIPTS
from experiments.train_mini.texts import HELD_OUT_MODULES, held_out_file
from mechdyn.errors import InputError, MechdynError
from mechdyn.runs.folder import write_text

_HEAD = """---
license: mit
language: en
library_name: transformers
pipeline_tag: text-generation
tags: [interpretability, attention-heads, retrieval-heads]
---

# mini

The model that comes with mechdyn: {parameters:.2f} M parameters, small enough for two CPU cores. It was trained from scratch
to answer two kinds of questions from its context: a UUID hidden in a text (a needle in a haystack), and a question over two hops,
answered with a short rationale. It is there to try mechdyn on and to hold its measurements against. It is no general language
model.

```python
import mechdyn as md

model = md.load_model("mini")
sample = md.niah(model, length=512, depth=0.5, seed=0)
print(md.trace(model, sample).text, sample.answer)
```
"""
_ARCHITECTURE = """
## Architecture

A Llama with grouped-query attention, tied embeddings and a byte-level BPE tokenizer that splits a word with a digit in it from the
space before it (a UUID then has the same tokens in a sentence and at the start of an answer). Stored in {dtype},
{megabytes:.1f} MB with the tokenizer.

| layers | heads | key-value heads | d_model | d_head | d_mlp | vocabulary | context | RoPE theta |
|---|---|---|---|---|---|---|---|---|
| {num_hidden_layers} | {num_attention_heads} | {num_key_value_heads} | {hidden_size} | {head_dim} | {intermediate_size} | \
{vocab_size} | {max_position_embeddings} | {theta:g} |
"""
_TRAINING = """
## Training

`python -m experiments.train_mini` in mechdyn's repository: one run, seed {seed}, {steps} steps, about {positions:.0f} M tokens
(padding included), in float32 on {hardware}. Time: {time}.

| from step | row lengths | tokens a step | two-hop rows, and in rows of 1,500 tokens and more | heads dropped |
|---|---|---|---|---|
{stages}

- Muon (rate {muon_lr:g}) for the matrices of the layers, AdamW ({adamw_lr:g}) for embeddings and norms. {rounds}
- Loss weights: an answer token 1, the text of a row {prose_weight:g} in all, the text of worlds {world_weight:g} a token, random values in
  the context 0.
- Head dropout from step {head_dropout_from} on: each row drops heads at a rate of its own, uniform up to what the table says, so that
  the model can spare some heads. A prototype without it failed as soon as any heads were off, and ablation then says nothing.

## Data

Every row is a chat of one context and one or more questions: one to eight keyed needles in a text, a procedural world of two-hop
chains, or a list to copy. The needles' values are UUIDs and some names; from step {other_from} on {other_values:g} % are
numbers, dates, codes and words. The texts, in percent of the rows: {shares}. Mixed ones string short pieces of all the others together.
Each text is set in a typography drawn at random: straight or typographic quotes of several languages, dashes, dots, digits, capitals,
spaces, line breaks.

- Books: {books}. {held_out} was held out: neither model nor tokenizer saw it, and it is the book of the evaluation. The bundled model's
  books are in the public domain in the US (Standard Ebooks' editions, CC0).
- Code: the standard library of Python {python} without its tests (PSF licence). Held out, as the Python sources of the evaluation:
  {held_out_modules}.
- The others are made up: procedural prose, articles as an encyclopedia has them, dialogue, tables, lists, data and logs, mark-up, words in
  the letters of {n_scripts} scripts, and words of the books in no order. No text of HotpotQA and no essay is among them.
"""
_EVALUATION = """
## Evaluation

By `python -m experiments.train_mini.evaluate`, through mechdyn's engine, greedy, on fresh samples (seeds from {seed} on) of revision
`{revision}`.

{goals}

A UUID is right when the whole answer equals it; a two-hop answer by HotpotQA's official exact match on what follows "the answer is".
Intervals are Wilson's. A goal is reached where the share that was measured is at least the goal; `lowest` is the lowest depth, or the
worst draw of random heads. Ablated are {n_ablated} of {n_heads} heads, drawn at random and fixed for the whole answer, zeroed at the
current position; keys and values are kept from the clean or from the ablated forward. The book with straight quotes is the same book with
nothing else changed; the Python sources are modules of the standard library on one line, as `niah` reads every file.

Needles by depth:

{depths}

### Where it falls short of its goals

{shortfalls}
"""
_NO_EVALUATION = """
## Evaluation

Nothing was measured of this model.
"""
_LIMITS = """
## Heads

How its heads behave is whatever training gave. No term of the loss, no choice of seed, checkpoint or setting looked at retrieval
scores or at how they change from step to step. Head dropout does shape heads: it makes them redundant, as the goal for ablated
heads asks.

## Limits

- One seed, one size: what holds for this model need not hold for another of the same recipe, and says nothing about large models.
- It was trained on the prompts of mechdyn's `niah` and `world` and little else. Other questions, real HotpotQA among them, were not
  measured.
- Its questions and answers are English. Other scripts are in its texts as made-up words: their bytes are known, their languages not.
- Prompt and answer together have {max_position_embeddings} positions; nothing was measured beyond the lengths above.
"""


def write_card(model: Path, run: Path, evaluation: Evaluation | None) -> Path:
    """Write `README.md` into the model's folder.

    Args:
        model: the exported model.
        run: the folder that it was trained in; its `log.jsonl` may be missing, then the card gives no time.
        evaluation: what was measured; None makes a card that says that nothing was.
    """
    config = _read_config(run / "config.json")
    facts = _architecture(model)
    parts = [
        _HEAD.format(parameters=_count_parameters(model) / 1e6),
        _ARCHITECTURE.format(**facts),
        _TRAINING.format(**_training(config, run / "log.jsonl")),
        _EVALUATION.format(**_evaluation(evaluation, facts)) if evaluation else _NO_EVALUATION,
        _LIMITS.format(**facts),
    ]
    write_text(model / "README.md", "".join(parts))
    return model / "README.md"


def replace_evaluation(model: Path, evaluation: Evaluation) -> Path:
    """Put another evaluation into the card that the model has; whatever stands before `## Evaluation` and from `## Heads` on stays."""
    card = model / "README.md"
    before, found, rest = card.read_text(encoding="utf-8").partition("\n## Evaluation\n") if card.is_file() else ("", "", "")
    _, heads, after = rest.partition("\n## Heads\n")
    if not found or not heads:
        raise InputError(f"{card} is no card of this recipe (it lacks Evaluation or Heads); write it anew with --run")
    write_text(card, f"{before}{_EVALUATION.format(**_evaluation(evaluation, _architecture(model)))}{heads}{after}")
    return card


def _read_config(path: Path) -> TrainConfig:
    """The configuration that a run wrote."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        stages = tuple(Stage(**{name: _tuple(value) for name, value in stage.items()}) for stage in found.pop("stages"))
        rounds = tuple(Round(**each) for each in found.pop("earlier_rounds", ()))
        paths = {name: Path(found[name]) for name in ("out", "prose", "sources") if found.get(name) is not None}
        return TrainConfig(**{**found, **paths, "stages": stages, "earlier_rounds": rounds})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not the configuration of a training run ({error}); --run names the folder given to training as --out"
        ) from error


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _architecture(model: Path) -> dict[str, Any]:
    facts = json.loads((model / "config.json").read_text(encoding="utf-8"))
    size = sum(file.stat().st_size for file in model.iterdir() if file.name != "README.md")
    return {**facts, "theta": facts["rope_parameters"]["rope_theta"], "megabytes": size / 1e6}


def _count_parameters(model: Path) -> int:
    with safe_open(model / "model.safetensors", framework="pt") as weights:
        return sum(math.prod(weights.get_slice(name).get_shape()) for name in list(weights.keys()))


def _training(config: TrainConfig, log: Path) -> dict[str, Any]:
    books = sorted(config.prose.glob("*.txt"))
    held_out = held_out_file(config)
    on_cpu = f"{config.workers} single-threaded CPU process{'es' if config.workers > 1 else ''}"
    lines = []
    for stage in config.stages:
        lengths = " / ".join(str(length) for length in stage.lengths)
        hops = f"{100 * stage.mix[1]:.0f} %, {100 * stage.long_mix[1]:.0f} %" if max(stage.lengths) >= 300 else "none"
        dropped = f"up to {100 * stage.head_dropout_max:g} %" if stage.start >= config.head_dropout_from else "none"
        lines.append(f"| {stage.start} | {lengths} | {config.workers} × {stage.tokens} | {hops} | {dropped} |")
    return {
        **vars(config),
        "positions": _expected_positions(config) / 1e6,
        "time": _time(log),
        "hardware": "one GPU" if config.device.startswith("cuda") else on_cpu,
        "stages": "\n".join(lines),
        "rounds": _rounds(config),
        **_other_values(config),
        "books": "; ".join(_title(book) for book in books if book != held_out),
        "held_out": _title(held_out),
        "held_out_modules": ", ".join(HELD_OUT_MODULES),
        "shares": ", ".join(f"{kind} {100 * share:g}" for kind, share in SHARES.items()),
        "n_scripts": len(SCRIPTS),
    }


def _rounds(config: TrainConfig) -> str:
    """How the learning rate goes, in a sentence."""
    told = []
    for each in config.rounds:
        peak = f" of {100 * each.peak:g} %" if each.peak < 1 else ""
        decay = f"linear decay to zero over {each.decay_steps} steps up to step {each.end}"
        told.append(f"{config.warmup_steps} steps of warm-up, a constant rate{peak}, {decay}")
    n = min(config.averaged_rounds, len(config.rounds))
    mean = f" The model is the mean of the weights at the ends of the last {n} rounds." if n > 1 else ""
    return f"{'; again '.join(told)}.{mean}"


def _other_values(config: TrainConfig) -> dict[str, Any]:
    """From which step on needles have other values than UUIDs and names, and how many of them."""
    first = next((stage for stage in config.stages if stage.other_values), config.stages[-1])
    return {"other_from": first.start, "other_values": 100 * first.other_values}


def _expected_positions(config: TrainConfig) -> float:
    """Token positions of the whole run, in expectation: row lengths are drawn uniformly from the stage's."""
    ends = [*(min(stage.start, config.steps) for stage in config.stages), config.steps]
    total = 0.0
    for stage, (start, end) in zip(config.stages, pairwise(ends), strict=True):
        in_step = [max(1, stage.tokens // length) * length for length in stage.lengths]
        total += (end - start) * config.workers * sum(in_step) / len(in_step)
    return total


def _time(log: Path) -> str:
    """Time in the training loop. The log's clock starts anew whenever the run is resumed."""
    if not log.exists():
        return "time not recorded"
    entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    clock = [entry["seconds"] for entry in entries if "seconds" in entry]
    ends = [before for before, after in pairwise(clock) if after < before] + clock[-1:]
    resumed = {1: "", 2: ", resumed once"}.get(len(ends), f", resumed {len(ends) - 1} times")
    return f"{sum(ends) / 60:.1f} minutes{resumed}"


def _title(book: Path) -> str:
    """`author-name_the-title.txt` as a reader would write it; another name as it is."""
    author, separator, title = (part.replace("-", " ").title() for part in book.stem.partition("_"))
    return f"{title.replace(' Of ', ' of ')} ({author})" if separator else book.name


def _evaluation(evaluation: Evaluation, facts: dict[str, Any]) -> dict[str, Any]:
    n_heads = facts["num_hidden_layers"] * facts["num_attention_heads"]
    missed = [f"- {_shortfall(row)}" for row in rows(evaluation.cells) if row.reached is False]
    return {
        "seed": evaluation.seed,
        "revision": evaluation.model["revision"],
        "goals": goal_table(evaluation.cells),
        "depths": depth_table(evaluation.cells),
        "n_heads": n_heads,
        "n_ablated": ablated_heads(n_heads),
        "shortfalls": "\n".join(missed) or "Nowhere: every goal above was reached.",
    }


def _shortfall(row: Row) -> str:
    setting, worst = row.cell.setting, row.worst
    lowest = f", {worst.interval.estimate:.2f} at depth {worst.setting.depth:g}" if worst.setting.depth is not None else ""
    return f"{describe(setting)}, {setting.length} tokens: {row.cell.interval:.3f}{lowest}; the goal is {row.goal:.2f}."


def main() -> None:
    """Write the card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of the exported model")
    parser.add_argument("--run", type=Path, help="folder given to training as --out; left out, only the evaluation is replaced")
    parser.add_argument("--evaluation", type=Path, help="JSON file that the evaluation wrote")
    options = parser.parse_args()
    try:
        evaluation = read_evaluation(options.evaluation) if options.evaluation else None
        if options.run is not None:
            print(write_card(options.model, options.run, evaluation))
        elif evaluation is not None:
            print(replace_evaluation(options.model, evaluation))
        else:
            raise InputError("nothing to write; give --run for a whole card, or --evaluation to replace the evaluation of one")
    except MechdynError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main()
