"""`mechdyn report`."""

from pathlib import Path
from typing import Annotated

import typer

from mechdyn.cli.app import app


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs.")],
    out: Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help="Where the report goes; the first run's folder.")] = None,
    again: Annotated[
        bool, typer.Option("--again/--as-recorded", help="Judge again from the stored traces, or take the verdicts as recorded.")
    ] = True,
) -> None:
    """Write what runs came to, beside the paper: one page, report.html, and the same in Markdown; no model is run."""
    from mechdyn.reports.page import report_html, report_markdown
    from mechdyn.reports.sections import make_report
    from mechdyn.reports.tables import print_tables
    from mechdyn.runs.read import read_run
    from mechdyn.views.page import save_text

    made = make_report([read_run(run, again=again) for run in runs])
    folder = out or runs[0]
    page = save_text(report_html(made), folder / "report.html")
    text = save_text(report_markdown(made, page.name), folder / "report.md")
    print_tables([made.verdicts] if made.verdicts else [])
    print(f"page     {page}\nmarkdown {text}")
