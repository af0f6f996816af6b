"""`mechdyn sweep`: many runs from one plan."""

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mechdyn.cli.app import app
from mechdyn.text import duration_text, visible

if TYPE_CHECKING:
    from mechdyn.runs.sweep import SweepResult
    from mechdyn.runs.sweep_cost import RunCost
    from mechdyn.runs.sweep_plan import SweepRun

_EXECUTOR = "local or ray: this machine, or a Ray cluster (pip install 'mechdyn[cluster]'); the plan's when left out."


@app.command()
def sweep(
    plan: Annotated[str, typer.Argument(metavar="PLAN.toml", help="The plan: models, tasks, claims, studies, seeds, options.")],
    out: Annotated[
        str | None, typer.Option("--out", metavar="FOLDER", help="A folder or an fsspec URL (s3://…); runs/sweep-PLAN if left out.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the runs and what they cost, and run nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --dry-run: print it as JSON.")] = False,
    share: Annotated[str | None, typer.Option(metavar="I/N", help="Only every N-th run from the I-th on: one of N machines.")] = None,
    executor: Annotated[str | None, typer.Option(help=_EXECUTOR)] = None,
    address: Annotated[str | None, typer.Option(help="Of the Ray cluster; one on this machine when left out.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=10_000, help="Processes with a model each; the plan's when left out.")] = None,
    device: Annotated[str | None, typer.Option(help="Of every run; with --dry-run also h100, a100-80gb and the like.")] = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first unit or run that fails.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try units again that were set aside.")] = False,
) -> None:
    """Carry out every run of a plan, with one loaded model and one store of traces for all that share them; resumes after any kill."""
    from pathlib import Path

    from mechdyn.runs.folder import safe_name
    from mechdyn.runs.sweep import sweep as run_sweep
    from mechdyn.runs.sweep_plan import read_plan, share_of

    given: dict[str, Any] = {"executor": executor, "address": address, "workers": workers}
    given |= {"fail_fast": fail_fast or None, "retry_failed": retry_failed or None, "device": None if dry_run else device}
    runs = share_of(read_plan(plan, {name: value for name, value in given.items() if value is not None}), share)
    if dry_run:
        _show_cost(runs, device, as_json)
        return
    results = run_sweep(runs, out or Path("runs") / f"sweep-{safe_name(Path(plan).stem)}", fail_fast=fail_fast, told=_tell)
    failed = [result for result in results if result.state == "failed"]
    print(f"{len(results) - len(failed)} of {len(results)} runs done, {len(failed)} failed")
    print(f"next     mechdyn report {' '.join(str(result.folder) for result in results if result not in failed)}")
    if failed:
        sys.exit(1)


def _tell(result: "SweepResult") -> None:
    outcome = f": {result.verdict}" if result.verdict else f": {result.error}" if result.error else ""
    print(visible(f"{result.state:11} {result.run.name}{outcome}"), flush=True)


def _show_cost(runs: "list[SweepRun]", device: str | None, as_json: bool) -> None:
    from mechdyn.evidence import Table
    from mechdyn.reports.tables import print_tables
    from mechdyn.runs.sweep_cost import sweep_cost

    costs = sweep_cost([replace(run, config=replace(run.config, device=None)) for run in runs] if device else runs, device)
    if as_json:
        print(json.dumps([_cost_json(cost) for cost in costs], indent=2))
        return
    columns = ("run", "key", "traces", "shared", "peak GiB", "fits", "time")
    rows = tuple(_cost_row(cost) for cost in costs)
    measured = any(cost.budget.device.measured for cost in costs if cost.budget)
    source = "measured here just now" if measured else "from a data sheet: a lower bound"
    total = f"{sum(cost.n_traces - cost.n_shared for cost in costs)} traces, {duration_text(sum(cost.seconds for cost in costs))} on one "
    caption = f"{total}worker; speed {source}. Answers are taken to be as long as they may be; shared: traces that an earlier run has."
    print_tables([Table(f"{len(costs)} runs", columns, rows, caption, numbers=columns[2:], droppable=("key",))])


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
