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
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from mechdyn.claims.retmask import main_quantity
from mechdyn.cli import run_command
from mechdyn.evidence import Table
from mechdyn.reports.tables import print_tables
from mechdyn.runs.contents import Judged
from mechdyn.runs.read import read_run

PUBLISHED = (
    ("Llama-3.1-8B-Instruct", "33 of 1024", "0.94", "85 (8 %)", "+2.28 points"),
    ("Qwen3-8B", "98 of 1152", "0.90", "136 (12 %)", "+0.89 points"),
    ("Olmo-3-7B-Think", "113 of 1024", "0.85", "190 (19 %)", "+0.5 points"),
)
"""Ma & Okazaki 2026: points of 100 on HELMET at 128 k, without intervals; concentrations of their lists by `mechdyn heads compare`."""
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.command()
def haystack(file: Annotated[Path, typer.Argument(help="Where the text goes.")]) -> None:
    """Write the interpreter's help texts as one text."""
    topics = pydoc_data.topics.topics
    file.write_text(" ".join(" ".join(topics[name].split()) for name in sorted(topics)) + "\n", encoding="utf-8")
    print(f"wrote    {file}")


@app.command()
def gains(runs: Annotated[list[str], typer.Argument(help="Folders of `mechdyn verify retmask`.")]) -> None:
    """Gain over the base against how few heads hold the scores, a line a run, the published models below."""
    rows = [_row(folder) for folder in runs]
    columns = ("model", "heads off", "Gini", "effective heads", "gain over the base", "verdict")
    published = tuple((*row, "") for row in PUBLISHED)
    print_tables([Table("RetMask: gain against concentration", columns, (*rows, *published), "Published gains are of another measure.")])


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


def _row(folder: str) -> tuple[str, ...]:
    run = read_run(folder)
    assert isinstance(run.content, Judged) and run.content.verdict is not None
    verdict, facts = run.content.verdict, run.content.verdict.facts
    gain = main_quantity(verdict)
    about = f"{len(facts.get('heads', ()))} of {facts.get('all_heads', '?')}"
    found, total = facts.get("effective_heads"), facts.get("all_heads")
    spread = f"{found:.0f} ({found / total:.0%})" if found and total else ""
    gini = f"{facts['gini']:.2f}" if "gini" in facts else ""
    return (run.model, about, gini, spread, "" if gain is None else str(gain.interval), str(verdict.outcome))


if __name__ == "__main__":
    run_command(app)
