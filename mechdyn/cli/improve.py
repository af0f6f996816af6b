"""`mechdyn improve`: what turns a finding about heads into a better or a cheaper model, each put to the one evaluation."""

from typing import TYPE_CHECKING

import typer

from mechdyn.cli.app import app
from mechdyn.cli.options import OutOption, takes
from mechdyn.runs.improve_configs import DecoreConfig, KVBudgetsConfig, SealConfig

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


@improve.command()
@takes(DecoreConfig)
def decore(config: DecoreConfig, out: OutOption = None) -> None:
    """Decode by contrast with the model without its retrieval heads (DeCoRe), a list's or each step's own: before and after."""
    from mechdyn.runs.decore import decore as run_decore

    print_improved(run_decore(config, out), f"DeCoRe on {config.model}")


@improve.command()
@takes(SealConfig)
def seal(config: SealConfig, out: OutOption = None) -> None:
    """Learn a factor for each head, or each channel of it, everything else frozen (SEAL): before and after, and the same by forecast."""
    from mechdyn.runs.seal import seal as run_seal

    found = run_seal(config, out)
    print_improved(found, f"SEAL on {config.model}")
    if config.checkpoint is not None:
        print(f"weights  {config.checkpoint}")


@improve.command("kv-budgets")
@takes(KVBudgetsConfig)
def kv_budgets(config: KVBudgetsConfig, out: OutOption = None) -> None:
    """Shorten the key-value cache to a share of each prompt, by a list's scores or anew at each step (HeadKV): before and after."""
    from mechdyn.runs.kv_budgets import kv_budgets as run_kv_budgets

    print_improved(run_kv_budgets(config, out), f"Key-value budgets on {config.model}")
