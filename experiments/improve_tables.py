"""The tables of docs/improve.md, from finished runs of `mechdyn improve`: `python -m experiments.improve_tables RUN…`.

Each run's tables as Markdown, under the command that made it. Nothing is run.
"""

from pathlib import Path
from typing import Annotated

import typer

from mechdyn.cli import run_script


def improve_tables(runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs.")]) -> None:
    """Print the tables of runs."""
    from mechdyn.reports.sections import sections
    from mechdyn.reports.tables import table_markdown
    from mechdyn.runs.read import read_run

    for path in runs:
        run = read_run(path)
        for section in sections(run.content, run):
            print(f"    {section.command}\n")
            print("\n\n".join(map(table_markdown, section.tables)), end="\n\n")


if __name__ == "__main__":
    run_script(improve_tables)
