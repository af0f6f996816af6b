"""`mechdyn trace`."""

import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from mechdyn.cli.app import app
from mechdyn.cli.options import OutOption, takes
from mechdyn.runs.configs import TraceConfig


@app.command()
@takes(TraceConfig)
def trace(
    config: TraceConfig,
    out: OutOption = None,
    show: Annotated[bool, typer.Option("--show/--no-show", help="Open the timeline in a browser (in a terminal only).")] = True,
) -> None:
    """Trace one sample (a needle, unless --task says otherwise), store it and open its timeline."""
    from mechdyn.runs.trace import trace_one
    from mechdyn.text import visible
    from mechdyn.views.page import save_page
    from mechdyn.views.timeline import timeline

    result, folder = trace_one(config, out or trace_folder(config))
    if not result.n_steps:
        print(f"no token was generated (stopped: {result.stopped}); the trace is in {folder / 'traces'}")
        return
    page = folder / "timeline.html"
    save_page([timeline(result)], page, title=f"{result.task} on {config.model}")
    print(f"answer   {visible(result.text)}\nexpected {visible(result.answer)}\ntimeline {page}")
    if show and sys.stdout.isatty():
        webbrowser.open(page.resolve().as_uri())


def trace_folder(config: TraceConfig) -> Path:
    """Where the trace of a sample goes when no folder is named."""
    what = ["needle", config.length, f"{config.depth:g}"] if config.task == "niah" else [config.task, config.question or config.length]
    parts = ["trace", Path(config.model).name, *what, *([config.style] if config.style else []), config.seed]
    return Path("runs") / "-".join(map(str, parts))
