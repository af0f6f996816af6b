"""`mechdyn plan`."""

import json
from typing import Annotated

import typer

from mechdyn.cli.app import app
from mechdyn.cli.options import takes
from mechdyn.runs.configs import PlanConfig


@app.command()
@takes(PlanConfig)
def plan(config: PlanConfig, as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False) -> None:
    """Memory and time of a run before anything is loaded: weights, keys and values, peak, FLOPs, bytes, hours; and what fits."""
    from mechdyn.models.budget import plan_run
    from mechdyn.reports.budget import plan_advice, plan_table
    from mechdyn.reports.tables import print_tables

    planned = plan_run(config)
    if as_json:
        print(json.dumps(planned.as_json(), indent=2))
        return
    print_tables([plan_table(planned)])
    for line in plan_advice(planned):
        print(line)
