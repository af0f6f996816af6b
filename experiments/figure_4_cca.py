"""Figures 4 and 8: canonical correlations of hidden states with the retrieval scores of the same and of later steps.

`python -m experiments.figure_4_cca --model llama3.1-8b --preset paper` writes the figures, results.json and the traces.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mechdyn.claims.paper_values import FIGURE_4_TOP_1
from mechdyn.cli import (
    BatchOption,
    DataOption,
    HaystackOption,
    LengthOption,
    ModelOption,
    OutOption,
    PresetOption,
    SeedOption,
    StyleOption,
    TaskOption,
    run_command,
)


def figure_4(
    model: ModelOption = "mini",
    preset: PresetOption = "quick",
    length: LengthOption = None,
    offsets: Annotated[int, typer.Option(min=0, help="The last offset; the first is 0.")] = 10,
    seed: SeedOption = 0,
    haystack: HaystackOption = None,
    task: TaskOption = "niah",
    style: StyleOption = None,
    data: DataOption = None,
    batch_size: BatchOption = 8,
    out: OutOption = None,
) -> None:
    """Top-1, mean top-10 and mean top-50 by offset: in sample, held out, their null, and persistence."""
    from mechdyn.claims.probing import ROLE, cca_samples, outline
    from mechdyn.stats.cca_offsets import cca_by_offset
    from mechdyn.sweep.run_folder import write_json
    from mechdyn.sweep.verify import VerifyConfig, trace_claim
    from mechdyn.views.page import save_page
    from mechdyn.views.probe import correlations

    config = VerifyConfig(
        "correlation",
        model=model,
        preset=preset,
        lengths=tuple(length or ()),
        seed=seed,
        haystack=str(haystack) if haystack else None,
        batch_size=batch_size,
        task=task,
        style=style,
        data=str(data) if data else None,
    )
    traced = trace_claim(config, out or Path("runs") / f"correlation-{Path(model).name}-{preset}")
    begun = outline(traced.traces[ROLE])
    result = cca_by_offset(cca_samples(begun.traces), tuple(range(offsets + 1)), seed=seed)
    print(f"{begun.facts['samples']} samples; ranks: hidden {result.hidden_rank}, scores {result.scores_rank}")
    print("k   top-1 in sample          held out                 null, held out           paper (in sample)")
    for at in result.offsets:
        values = (at.in_sample.means[1], at.held_out.means[1], at.null_held_out.means[1])
        paper = FIGURE_4_TOP_1.get(at.offset, "") if task == "niah" else ""
        print(f"{at.offset:<3} " + " ".join(f"{value!s:24}" for value in values) + f" {paper}")
    write_json(traced.folder / "figure_4.json", asdict(result))
    page = save_page(correlations(result.offsets, title=model), traced.folder / "figure_4.html", title=f"Canonical correlations, {model}")
    print(f"figures  {page}\nresults  {traced.folder / 'figure_4.json'}\ntraces   {traced.folder / 'traces'}")


if __name__ == "__main__":
    run_command(lambda: typer.run(figure_4))
