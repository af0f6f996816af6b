"""The application that the commands are registered on, and how an error becomes one line."""

import sys
from collections.abc import Callable

import typer

from mechdyn.errors import MechdynError
from mechdyn.text import visible

app = typer.Typer(
    help="Which attention heads retrieve what, at which step of generation, and does it matter?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def run_command(command: Callable[[], object]) -> None:
    """Run a command; an error that mechdyn raises on purpose is one line and exit code 2."""
    try:
        command()
    except MechdynError as error:
        print(f"error: {visible(' '.join(str(error).split()))}", file=sys.stderr)
        sys.exit(2)


def run_script(command: Callable[..., None]) -> None:
    """Run one function as a command line of its own: an experiment's script."""
    run_command(lambda: typer.run(command))
