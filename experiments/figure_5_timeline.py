"""Figure 5: reasoning retrieval scores of the ten most varying heads over the tokens of one answer.

`python -m experiments.figure_5_timeline --model llama3.1-8b --task hotpotqa --data hotpot_dev_distractor_v1.json` writes the figure and the
trace; the bundled model takes a question of the procedural world.
"""

from pathlib import Path
from typing import Annotated

import typer

from mechdyn.cli import DataOption, ModelOption, OutOption, SeedOption, StyleOption, TaskOption, run_command


def figure_5(
    model: ModelOption = "mini",
    task: TaskOption = "world",
    length: Annotated[int, typer.Option(help="Prompt length in tokens, for the world.")] = 512,
    seed: SeedOption = 0,
    style: StyleOption = None,
    data: DataOption = None,
    question: Annotated[str | None, typer.Option(help="Id of a question of --data; the first that the model can hold if left out.")] = None,
    out: OutOption = None,
) -> None:
    """Timeline of continuous scores: grey up to the threshold, coloured above it."""
    from mechdyn.sweep.single import TraceConfig, trace_one
    from mechdyn.views.page import save_page
    from mechdyn.views.timeline import timeline

    config = TraceConfig(model, length=length, seed=seed, task=task, style=style, data=str(data) if data else None, question=question)
    result, folder = trace_one(config, out or Path("runs") / f"figure-5-{Path(model).name}-{task}-{seed}")
    page = save_page([timeline(result)], folder / "timeline.html", title=f"{result.task} on {model}")
    print(f"answer   {result.text}\nexpected {result.answer}\ntimeline {page}")


if __name__ == "__main__":
    run_command(lambda: typer.run(figure_5))
