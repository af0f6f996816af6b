"""The command line. Heavy imports wait until a command needs them, so that help comes at once."""

from mechdyn.cli import heads, look, models, run, runs, serve, sweep, view
from mechdyn.cli.app import app, run_command, run_script
from mechdyn.cli.options import OutOption, takes, with_defaults

COMMANDS = (heads, look, models, run, runs, serve, sweep, view)
"""The modules whose import registers the commands."""

__all__ = ["COMMANDS", "OutOption", "app", "main", "run_command", "run_script", "takes", "with_defaults"]


def main() -> None:
    """Entry point."""
    run_command(app)
