"""`mechdyn sweep`: many runs from one plan."""

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mechdyn.cli.app import app
from mechdyn.cli.options import takes
from mechdyn.runs.configs import SweepConfig
from mechdyn.text import duration_text, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mechdyn.evidence import Table
    from mechdyn.runs.sweep import SweepResult
    from mechdyn.runs.sweep_cost import RunCost
    from mechdyn.runs.sweep_plan import SweepRun


@app.command()
@takes(SweepConfig)
def sweep(
    config: SweepConfig,
    out: Annotated[
        str | None, typer.Option("--out", metavar="FOLDER", help="A folder or an fsspec URL (s3://…); runs/sweep-PLAN if left out.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="With --dry-run: print it as JSON.")] = False,
) -> None:
    """Carry out every run of a plan, with one loaded model and one store of traces for all that share them; resumes after any kill."""
    from pathlib import Path

    from mechdyn.runs.folder import safe_name
    from mechdyn.runs.sweep import sweep as run_sweep
    from mechdyn.runs.sweep_plan import read_plan, share_of

    runs = share_of(read_plan(config.plan, config.how()), config.share)
    if config.dry_run:
        _show_cost(runs, config.device, as_json)
        return
    where = out or Path("runs") / f"sweep-{safe_name(Path(config.plan).stem)}"
    tell_sweep(run_sweep(runs, where, fail_fast=config.fail_fast, told=tell_result))


def tell_sweep(results: "list[SweepResult]") -> None:
    """How many runs are done and what reads them; ends with exit code 1 where one failed."""
    failed = [result for result in results if result.state == "failed"]
    print(f"{len(results) - len(failed)} of {len(results)} runs done, {len(failed)} failed")
    if len(failed) < len(results):
        print(f"next     mechdyn report {' '.join(str(result.folder) for result in results if result not in failed)}")
    if failed:
        sys.exit(1)


def tell_result(result: "SweepResult") -> None:
    """A line when a run has ended."""
    outcome = f": {result.verdict}" if result.verdict else f": {result.error}" if result.error else ""
    print(visible(f"{result.state:11} {result.run.name}{outcome}"), flush=True)


def _show_cost(runs: "list[SweepRun]", device: str | None, as_json: bool) -> None:
    from mechdyn.reports.tables import print_tables
    from mechdyn.runs.sweep_cost import sweep_cost

    costs = sweep_cost([replace(run, config=replace(run.config, device=None)) for run in runs] if device else runs, device)
    if as_json:
        print(json.dumps([_cost_json(cost) for cost in costs], indent=2))
        return
    print_tables([cost_table(costs)])


def cost_table(costs: "Sequence[RunCost]") -> "Table":
    """A line for each run: its traces, memory and time."""
    from mechdyn.evidence import Table

    columns = ("run", "key", "traces", "shared", "peak GiB", "fits", "time")
    rows = tuple(_cost_row(cost) for cost in costs)
    measured = any(cost.budget.device.measured for cost in costs if cost.budget)
    source = "measured here just now" if measured else "from a data sheet: a lower bound"
    total = f"{sum(cost.n_traces - cost.n_shared for cost in costs)} traces, {duration_text(sum(cost.seconds for cost in costs))} on one "
    caption = f"{total}worker; speed {source}. Answers are taken to be as long as they may be; shared: traces that an earlier run has."
    return Table(f"{len(costs)} run{'s' * (len(costs) != 1)}", columns, rows, caption, numbers=columns[2:], droppable=("key",))


def _cost_row(cost: "RunCost") -> tuple[str, ...]:
    bound = "≤ " if cost.at_most else ""
    if cost.budget is None:
        return cost.run.name, cost.run.key, str(cost.n_traces), str(cost.n_shared), "-", "-", "-"
    peak = max(each.memory.peak for each in cost.budget.lengths) + cost.budget.device.in_use
    fits = "yes" if all(each.fits for each in cost.budget.lengths) else f"--batch-size {min(e.largest_batch for e in cost.budget.lengths)}"
    return (
        cost.run.name,
        cost.run.key,
        f"{bound}{cost.n_traces}",
        str(cost.n_shared),
        f"{peak / 2**30:.2f}",
        fits,
        f"{bound}{duration_text(cost.seconds)}",
    )


def _cost_json(cost: "RunCost") -> dict[str, Any]:
    about = {"run": cost.run.name, "key": cost.run.key, "traces": cost.n_traces, "shared": cost.n_shared, "at_most": cost.at_most}
    return {**about, "seconds": cost.seconds, "budget": cost.budget.as_json() if cost.budget else None}
