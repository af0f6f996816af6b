"""`mechdyn improve`: what turns a finding about heads into a better or a cheaper model, each put to the one evaluation."""

from typing import TYPE_CHECKING

import typer

from mechdyn.cli.app import app

if TYPE_CHECKING:
    from mechdyn.runs.improve import Improved

improve = typer.Typer(help="Use what is known of a model's heads: decode by it, weigh heads by it; before and after.", no_args_is_help=True)
app.add_typer(improve, name="improve")


def print_improved(found: "Improved", title: str) -> None:
    """What every such command prints: the tables, and where the results are."""
    from mechdyn.reports.improve import improve_tables
    from mechdyn.reports.tables import print_tables

    print_tables(improve_tables(found.evaluation, title))
    print(f"results  {found.folder / 'results.json'}\nanswers  {found.folder / 'answers.jsonl'}\nnext     mechdyn report {found.folder}")
