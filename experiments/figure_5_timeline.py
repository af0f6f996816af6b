"""Figure 5: reasoning retrieval scores of the ten most varying heads over the tokens of one answer.

`python -m experiments.figure_5_timeline --model llama3.1-8b --task hotpotqa --data hotpot_dev_distractor_v1.json` writes the figure and the
trace; the bundled model takes a question of the procedural world.
"""

from mechdyn.cli import OutOption, run_script, takes
from mechdyn.cli.trace import trace_folder
from mechdyn.runs.configs import TraceConfig


@takes(TraceConfig, defaults={"task": "world"})
def figure_5(config: TraceConfig, out: OutOption = None) -> None:
    """Timeline of continuous scores: grey up to the threshold, coloured above it."""
    from mechdyn.runs.trace import trace_one
    from mechdyn.views.page import save_page
    from mechdyn.views.timeline import timeline

    result, folder = trace_one(config, out or trace_folder(config))
    page = save_page([timeline(result)], folder / "timeline.html", title=f"{result.task} on {config.model}")
    print(f"answer   {result.text}\nexpected {result.answer}\ntimeline {page}")


if __name__ == "__main__":
    run_script(figure_5)
