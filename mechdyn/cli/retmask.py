"""`mechdyn retmask`: train a model against itself without its retrieval heads, stage by stage."""

from typing import TYPE_CHECKING, Annotated

import typer

from mechdyn.cli.app import app
from mechdyn.cli.options import OutOption, takes
from mechdyn.runs.retmask_configs import ContrastConfig, DeactivateConfig, RetmaskConfig, RetmaskTrainConfig

if TYPE_CHECKING:
    from mechdyn.runs.retmask import Retmasked

retmask = typer.Typer(help="Train a model against itself without its retrieval heads (RetMask), stage by stage.", no_args_is_help=True)
app.add_typer(retmask, name="retmask")

FolderOption = Annotated[str, typer.Option("--out", metavar="FOLDER", help="The new model's folder.")]


@retmask.command()
@takes(DeactivateConfig)
def deactivate(config: DeactivateConfig, out: FolderOption) -> None:
    """Save the model with heads switched off for good: their columns of W_O are zero."""
    from mechdyn.runs.retmask_stages import deactivate as run_deactivate

    folder, off = run_deactivate(config, out)
    print(f"off      {off}\nmodel    {folder}\nnext     mechdyn trace --model {folder}")


@retmask.command()
@takes(ContrastConfig)
def contrast(config: ContrastConfig, out: OutOption = None) -> None:
    """Ask the intact and the worse model the same prompts, and save what they said as preference pairs."""
    from mechdyn.runs.retmask_stages import contrast as run_contrast

    found = run_contrast(config, out)
    print(f"pairs    {found.counts}\nfolder   {found.pairs}")
    print(f"next     mechdyn retmask train --model {config.model} --pairs {found.pairs} --out MODEL")


@retmask.command()
@takes(RetmaskTrainConfig)
def train(config: RetmaskTrainConfig, out: FolderOption) -> None:
    """Train the model by DPO on preference pairs."""
    from mechdyn.runs.retmask_stages import train as run_train

    trained = run_train(config, out)
    first, last = trained.margins
    print(f"margin   {first:.3f} at the first step, {last:.3f} at the last\nmodel    {trained.folder}")


@retmask.command()
@takes(RetmaskConfig)
def verify(config: RetmaskConfig, out: OutOption = None) -> None:
    """All stages for RetMask and its controls, with several seeds, and the verdict; `mechdyn verify retmask` is the same."""
    from mechdyn.runs.retmask import retmask as run_retmask

    print_retmasked(run_retmask(config, out))


def print_retmasked(found: "Retmasked") -> None:
    """The verdict, and where everything is."""
    from mechdyn.reports.verdict import print_verdict

    print_verdict(found.verdict)
    print(f"verdict  {found.folder / 'verdicts.json'}\nmodels   {found.folder / 'models'}\nanswers  {found.folder / 'answers.jsonl'}")
    print(f"next     mechdyn report {found.folder}")
