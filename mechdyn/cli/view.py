"""`mechdyn view`: a whole run as a folder of pages."""

import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from mechdyn.cli.app import app


@app.command()
def view(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, finished or not, or of a trace store.")],
    heads: Annotated[
        list[str] | None,
        typer.Option(
            "--heads", metavar="FILE", help="A list of heads whose ranks stand on each head's page; NAME=FILE names it. May be repeated."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help="Where the viewer goes; RUN/view when left out.")] = None,
    store: Annotated[str | None, typer.Option("--store", metavar="NAME", help="Which traces, of a run with several stores.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Where the run's model lies, when it was a local directory that has moved.")
    ] = None,
    dark: Annotated[bool | None, typer.Option("--dark/--light", help="The look; as the reader's system asks when left out.")] = None,
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open it in a browser (in a terminal only).")] = True,
) -> None:
    """See a whole run offline: its samples in a list to filter, the explorer of each, heads over all samples, verdicts, log."""
    from mechdyn.runs.viewing import view as read_view

    viewed = read_view(run, heads or (), store)
    from mechdyn.reports.viewer import make_viewer

    made = make_viewer(viewed, out or run / "view", model=model, dark=dark)
    for note in made.notes:
        print(f"note     {note}")
    print(f"samples  {made.n_samples:,} with {made.n_traces:,} generations under {len(viewed.conditions)} conditions")
    print(f"viewer   {made.page}" + ("" if made.made else ", as it was made before: nothing has changed"))
    if (run / "run.json").is_file():
        print(f"next     mechdyn {'report' if viewed.verdicts else 'status'} {run}")
    if show and sys.stdout.isatty():
        webbrowser.open(made.page.resolve().as_uri())
