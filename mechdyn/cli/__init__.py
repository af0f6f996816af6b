"""The command line: a file for each command. Heavy imports wait until a command needs them, so that help comes at once."""

from mechdyn.cli import ablate, budget, explore, models, rag, report, serve, trace, verify
from mechdyn.cli.app import app, run_command, run_script
from mechdyn.cli.options import OutOption, default_folder, takes, with_defaults

COMMANDS = (ablate, budget, explore, models, rag, report, serve, trace, verify)
"""The modules whose import registers the commands."""

__all__ = ["COMMANDS", "OutOption", "app", "default_folder", "main", "run_command", "run_script", "takes", "with_defaults"]


def main() -> None:
    """Entry point."""
    run_command(app)
