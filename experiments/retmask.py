"""RetMask's mechanism: does the gain grow with the concentration of head scores? And the haystack on which `mini` errs.

    python -m experiments.retmask haystack topics.txt
    mechdyn verify retmask --model mini --haystack topics.txt --out runs/retmask-mini
    python -m experiments.retmask gains runs/retmask-mini runs/retmask-smollm2
    python -m experiments.retmask step --model smollm2-135m --lora 16

`mini` was trained on typographic quotes alone, so straight ones cost it dearly; the interpreter's own help texts have them and need no
download. `step` times one step of training, to say what a run on another model would cost.
"""

import pydoc_data.topics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from scipy.stats import kendalltau

from mechdyn.claims.retmask import RETMASK, main_quantity
from mechdyn.cli import run_command
from mechdyn.errors import InputError
from mechdyn.evidence import Table, Verdict
from mechdyn.reports.tables import print_tables
from mechdyn.runs.contents import Judged
from mechdyn.runs.read import read_run

PUBLISHED = (
    ("Llama-3.1-8B-Instruct", "33 of 1024", 0.94, "85 (8 %)", 2.28),
    ("Qwen3-8B", "98 of 1152", 0.90, "136 (12 %)", 0.89),
    ("Olmo-3-7B-Think", "113 of 1024", 0.85, "190 (19 %)", 0.5),
)
"""Ma & Okazaki 2026: points of 100 on HELMET at 128 k, without intervals; concentrations of their lists by `mechdyn heads compare`."""
FEWEST = 3
"""Fewer models have no order to speak of."""
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.command()
def haystack(file: Annotated[Path, typer.Argument(help="Where the text goes.")]) -> None:
    """Write the interpreter's help texts as one text."""
    topics = pydoc_data.topics.topics
    file.write_text(" ".join(" ".join(topics[name].split()) for name in sorted(topics)) + "\n", encoding="utf-8")
    print(f"wrote    {file}")


@app.command()
def gains(runs: Annotated[list[str], typer.Argument(help="Folders of `mechdyn verify retmask`.")]) -> None:
    """Gain over the base against how few heads hold the scores, a line a run; the published models below; how alike both order models."""
    found = [_verdict(folder) for folder in runs]
    columns = ("model", "heads off", "Gini", "effective heads", "gain over the base", "verdict")
    published = [(name, off, f"{gini:.2f}", spread, f"+{gain:g} points", "") for name, off, gini, spread, gain in PUBLISHED]
    told = [(verdict.facts.get("gini"), main_quantity(verdict)) for verdict in found]
    known = [(float(gini), gain.interval.estimate) for gini, gain in told if gini is not None and gain is not None]
    theirs = order("published", [(gini, gain) for _, _, gini, _, gain in PUBLISHED])
    caption = f"Published gains are of another measure. {theirs}; {order('runs', known)}."
    print_tables([Table("RetMask: gain against concentration", columns, (*map(_row, found), *published), caption)])


def order(which: str, pairs: Sequence[tuple[float, float]]) -> str:
    """How alike models are ordered by concentration and by gain (Kendall's τ), and how often chance orders them as much alike."""
    if len(pairs) < FEWEST:
        return f"{which}: {len(pairs)} models, too few for an order"
    found = kendalltau(*zip(*pairs, strict=True), alternative="greater", method="exact")
    return f"{which}: {len(pairs)} models, τ of Gini and gain {found.statistic:.2f}, by chance as high with probability {found.pvalue:.2f}"


@app.command()
def step(
    model: Annotated[str, typer.Option(help="As load_model takes it.")] = "smollm2-135m",
    length: Annotated[int, typer.Option(help="Tokens of the prompt.")] = 512,
    lora: Annotated[int | None, typer.Option(help="Rank of the adapter; all weights when left out.")] = None,
    pairs: Annotated[int, typer.Option(help="Pairs of the one step.")] = 4,
) -> None:
    """Time one step of training, and say what a quick run would cost."""
    from datasets import Dataset

    from mechdyn.improve.retmask.dpo import SETTINGS, make_trainer, quiet_training
    from mechdyn.models.load import load_checkpoint
    from mechdyn.tasks.niah import niah

    tokenizer = load_checkpoint(model)[0].tokenizer
    samples = [niah(tokenizer, length=length, depth=0.5, seed=seed) for seed in range(pairs)]
    rows = [{"prompt": sample.prompt, "chosen": sample.answer, "rejected": sample.answer[::-1]} for sample in samples]
    settings = replace(SETTINGS["quick"], batch_size=pairs, rows=1, epochs=1, lora_rank=lora)
    with TemporaryDirectory() as folder, quiet_training():
        before = time.process_time(), time.perf_counter()
        trainer, _ = make_trainer(model, Dataset.from_list(rows), settings, Path(folder))
        ready = time.process_time(), time.perf_counter()
        trainer.train()
        done = time.process_time(), time.perf_counter()
    for what, start, end in (("reference and loading", before, ready), (f"a step of {pairs} pairs", ready, done)):
        print(f"{what}: {end[0] - start[0]:.1f} s of CPU, {end[1] - start[1]:.1f} s")


def _verdict(folder: str) -> Verdict:
    run = read_run(folder)
    if not isinstance(run.content, Judged) or run.content.verdict is None or run.content.verdict.claim != RETMASK:
        raise InputError(f"{folder} holds no verdict on {RETMASK}; give folders of `mechdyn verify retmask` that are finished")
    return run.content.verdict


def _row(verdict: Verdict) -> tuple[str, ...]:
    facts = verdict.facts
    gain = main_quantity(verdict)
    about = f"{len(facts.get('heads', ()))} of {facts.get('all_heads', '?')}"
    found, total = facts.get("effective_heads"), facts.get("all_heads")
    spread = f"{found:.0f} ({found / total:.0%})" if found and total else ""
    gini = f"{facts['gini']:.2f}" if "gini" in facts else ""
    return (verdict.model, about, gini, spread, "" if gain is None else str(gain.interval), str(verdict.outcome))


if __name__ == "__main__":
    run_command(app)
