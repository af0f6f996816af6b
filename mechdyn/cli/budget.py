"""`mechdyn budget`."""

import json
from typing import Annotated

import typer

from mechdyn.cli.app import app
from mechdyn.cli.options import takes
from mechdyn.runs.configs import BudgetConfig


@app.command()
@takes(BudgetConfig)
def budget(config: BudgetConfig, as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False) -> None:
    """Memory and time of a run before anything is loaded: weights, keys and values, peak, FLOPs, bytes, time; and what fits."""
    from mechdyn.models.budget import RunSize, budget_of
    from mechdyn.reports.budget import budget_advice, budget_table
    from mechdyn.reports.tables import print_tables

    size = RunSize(
        lengths=config.lengths,
        n_samples=config.runs,
        n_conditions=config.conditions,
        n_new=config.max_new_tokens,
        batch_size=config.batch_size,
        ablate=config.ablate,
    )
    needed = budget_of(config.model, size, device=config.device, dtype=config.dtype)
    if as_json:
        print(json.dumps(needed.as_json(), indent=2))
        return
    print_tables([budget_table(needed)])
    for line in budget_advice(needed):
        print(line)
