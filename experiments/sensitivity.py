"""Sensitivity of the dynamism verdict on questions to sink, local window and threshold of Eq. 2, none of which the paper states.

`python -m experiments.sensitivity --model llama3.1-8b --task hotpotqa --data hotpot_dev_distractor_v1.json` writes the table, the figure,
results.json and the traces. Nine runs give 27 verdicts: thresholds are put to stored scores.
"""

from pathlib import Path

import typer

from mechdyn.cli import (
    BatchOption,
    DataOption,
    LengthOption,
    ModelOption,
    OutOption,
    PresetOption,
    SeedOption,
    StyleOption,
    TaskOption,
    run_command,
)


def sensitivity_grid(
    model: ModelOption = "mini",
    task: TaskOption = "world",
    preset: PresetOption = "quick",
    length: LengthOption = None,
    seed: SeedOption = 0,
    style: StyleOption = None,
    data: DataOption = None,
    batch_size: BatchOption = 8,
    out: OutOption = None,
) -> None:
    """The dynamism verdict at each sink, local window and threshold of DEFINITIONS, and which verdicts flip."""
    from mechdyn.sweep.sensitivity import SensitivityConfig, sensitivity
    from mechdyn.views.page import save_page
    from mechdyn.views.sensitivity import sensitivity_figure, sensitivity_table
    from mechdyn.views.tables import print_tables

    config = SensitivityConfig(
        model=model,
        task=task,
        preset=preset,
        lengths=tuple(length or ()),
        seed=seed,
        style=style,
        data=str(data) if data else None,
        batch_size=batch_size,
    )
    result = sensitivity(config, out or Path("runs") / f"sensitivity-{Path(model).name}-{task}-{preset}")
    title = f"Dynamism on {model}, {task}: sink, local window and threshold of Eq. 2"
    print_tables([sensitivity_table(result.cells, title)])
    page = save_page([sensitivity_figure(result.cells, title=f"{model}, {task}")], result.folder / "sensitivity.html", title=title)
    print(f"figure   {page}\nresults  {result.folder / 'results.json'}")


if __name__ == "__main__":
    run_command(lambda: typer.run(sensitivity_grid))
