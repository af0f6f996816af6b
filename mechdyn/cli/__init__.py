"""The command line: a file for each command. Heavy imports wait until a command needs them, so that help comes at once."""

from mechdyn.cli import ablate, models, trace, verify
from mechdyn.cli.app import app, run_command, run_script
from mechdyn.cli.options import OutOption, default_folder, takes, with_defaults

__all__ = [
    "OutOption",
    "ablate",
    "app",
    "default_folder",
    "main",
    "models",
    "run_command",
    "run_script",
    "takes",
    "trace",
    "verify",
    "with_defaults",
]


def main() -> None:
    """Entry point."""
    run_command(app)
