"""`mechdyn explore`."""

import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mechdyn.cli.app import app
from mechdyn.cli.options import takes
from mechdyn.runs.configs import ExploreConfig
from mechdyn.text import visible

if TYPE_CHECKING:
    from mechdyn.runs.explore import StoredSample

_LISTED = 50


@app.command()
@takes(ExploreConfig)
def explore(
    config: ExploreConfig,
    out: Annotated[str | None, typer.Option("--out", metavar="FILE", help="The page; RUN/explorer.html when left out.")] = None,
    listing: Annotated[bool, typer.Option("--list", help="List the run's samples and conditions, and write nothing.")] = False,
    show: Annotated[bool, typer.Option("--show/--no-show", help="Open the page in a browser (in a terminal only).")] = True,
) -> None:
    """See which head looked where when a token came out: one self-contained page for one sample of a run."""
    from mechdyn.runs import explore as exploring
    from mechdyn.views.explorer.page import explorer

    if listing:
        _print_samples(exploring.stored_samples(exploring.open_traces(config.run)))
        return
    explored = exploring.explore(config)
    page = explorer(explored.traces, title=explored.title).save(Path(out) if out else Path(config.run) / "explorer.html")
    print(visible(f"sample    {explored.sample.key}: {explored.sample.task}, {explored.sample.about}"))
    print(visible(f"condition {'; '.join(explored.traces)}"))
    print(f"explorer  {page}")
    if show and sys.stdout.isatty():
        webbrowser.open(page.resolve().as_uri())


def _print_samples(samples: Sequence["StoredSample"]) -> None:
    for number, sample in enumerate(samples[:_LISTED]):
        wrong = [name for name in sample.units if not sample.correct[name]]
        counts = f"{len(sample.units)} conditions, {len(wrong)} answered wrongly"
        print(visible(f"{number:3} {sample.key} {sample.task}, {sample.about}: {counts}"))
    if len(samples) > _LISTED:
        print(f"and {len(samples) - _LISTED} more")
    print(visible(f"conditions: {'; '.join(dict.fromkeys(name for sample in samples for name in sample.units))}"))
