"""Figures 3, 7 and 15 to 20: more and more dynamic heads off at each step; which static heads come up in their place, and what it costs.

`python -m experiments.figure_3_progressive --model llama3.1-8b --preset paper` writes the figures, results.json and the traces.
"""

from pathlib import Path
from typing import Annotated

import typer

from mechdyn.claims.paper_values import FIGURE_3
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


def figure_3(
    model: ModelOption = "mini",
    preset: PresetOption = "quick",
    length: LengthOption = None,
    runs: Annotated[int | None, typer.Option(min=1, help="Samples at each of five depths instead of the preset's.")] = None,
    k: Annotated[list[int] | None, typer.Option("-k", "--masked", help="Heads to mask at each step; may be repeated.")] = None,
    seed: SeedOption = 0,
    haystack: HaystackOption = None,
    task: TaskOption = "niah",
    style: StyleOption = None,
    data: DataOption = None,
    batch_size: BatchOption = 8,
    out: OutOption = None,
) -> None:
    """Progressive ablation: compensated static heads (left axis) and the answers' quality (right axis) against k."""
    from mechdyn.sweep.progressive import ProgressiveConfig, progressive
    from mechdyn.views.ablation import progressive_figures, progressive_table
    from mechdyn.views.page import save_page
    from mechdyn.views.tables import print_tables

    config = ProgressiveConfig(
        model=model,
        preset=preset,
        lengths=tuple(length or ()),
        runs=runs,
        masked=tuple(k or ()),
        seed=seed,
        haystack=str(haystack) if haystack else None,
        batch_size=batch_size,
        task=task,
        style=style,
        data=str(data) if data else None,
    )
    name = "-".join(["progressive", Path(model).name, *([] if task == "niah" else [task]), *([style] if style else []), preset])
    result = progressive(config, out or Path("runs") / name)
    title = f"Progressive ablation on {model}, {task}"
    print_tables([progressive_table(result.points, title)])
    for paper_model, paper in FIGURE_3.items() if task == "niah" else ():
        print(f"paper, {paper_model}: {paper}")
    page = save_page(progressive_figures(result.points, title=model), result.folder / "progressive.html", title=title)
    print(f"figures  {page}\nresults  {result.folder / 'results.json'}\ntraces   {result.folder / 'traces'}")


if __name__ == "__main__":
    run_command(lambda: typer.run(figure_3))
