"""The command line. Heavy imports wait until a command needs them, so that help comes at once."""

from mechdyn.cli import heads, improve, look, models, retmask, run, runs, serve, sweep
from mechdyn.cli.app import app, run_command, run_script
from mechdyn.cli.options import OutOption, takes, with_defaults

COMMANDS = (heads, improve, look, models, retmask, run, runs, serve, sweep)
"""The modules whose import registers the commands."""

__all__ = ["COMMANDS", "OutOption", "app", "main", "run_command", "run_script", "takes", "with_defaults"]


def main() -> None:
    """Entry point."""
    run_command(app)
