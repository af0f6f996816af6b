"""The commands about runs that there are already: how far they are, and joining them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mechdyn.cli.app import app
from mechdyn.text import duration_text, visible

if TYPE_CHECKING:
    from mechdyn.runs.status import RunStatus

_SHOWN = 10


@app.command()
def status(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, or of a sweep.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """How far a run or sweep is: done, running, failed with the error, left, time left. Nothing is loaded or run."""
    from mechdyn.runs.status import statuses_of

    found = statuses_of(run)
    if as_json:
        print(json.dumps([each.as_json() for each in found], indent=2))
        return
    for each in found:
        print("\n".join(map(visible, _lines(each))))
        if each.state == "done":
            print(f"next     mechdyn report {each.path}")
    if len(found) > 1:
        done = sum(each.state == "done" for each in found)
        stored, planned = (sum(getattr(each, name) for each in found) for name in ("stored", "planned"))
        print(f"{done} of {len(found)} runs done, {stored} of {planned} units planned so far")


@app.command()
def merge(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The new folder.")],
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of one run, from several machines.")],
    take_first: Annotated[
        bool, typer.Option("--take-first", help="Where two runs have other content for a unit, take that of the run named first.")
    ] = False,
) -> None:
    """Join the folders of one run from several machines; units of which they have other content are named."""
    from mechdyn.runs.merge import merge as join

    merged = join(out, runs, take_first=take_first)
    for conflict in merged.conflicts[:_SHOWN]:
        print(visible(f"conflict {conflict}"))
    print(f"merged   {merged.n_traces} traces, {merged.n_answers} answers, {len(merged.conflicts)} conflicts\nfolder   {merged.folder}")
    print(f"next     mechdyn view {merged.folder}")


def _lines(status: "RunStatus") -> list[str]:
    left = f", {duration_text(status.seconds_left)} left at this pace" if status.seconds_left is not None else ""
    aside = f", {status.set_aside} set aside" if status.set_aside else ""
    lines = [
        f"run      {status.path}: {status.what}",
        f"state    {status.state}{f' (last: {status.last})' if status.last else ''}",
        f"units    {status.stored} of {status.planned} planned so far{aside}, {status.left} left{left}",
    ]
    lines += [f"failed   {each.times} x {each.about}: {each.error}" for each in status.failed[:_SHOWN]]
    lines += [f"failed   and {len(status.failed) - _SHOWN} units more"] if len(status.failed) > _SHOWN else []
    return lines + [f"stuck?   {line}" for line in status.stuck]
