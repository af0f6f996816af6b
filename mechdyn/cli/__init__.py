"""The command line. Heavy imports wait until a command needs them, so that help comes at once."""

import atexit
import gc

from mechdyn.cli import heads, improve, look, models, retmask, run, runs, serve, sweep, view
from mechdyn.cli.app import app, run_command, run_script
from mechdyn.cli.options import OutOption, takes, with_defaults

COMMANDS = (heads, improve, look, models, retmask, run, runs, serve, sweep, view)
"""The modules whose import registers the commands."""

__all__ = ["COMMANDS", "OutOption", "app", "main", "run_command", "run_script", "takes", "with_defaults"]


_COLLECTED_AFTER = 10_000
"""New objects after which Python looks for garbage; its own 700 costs a fifth of a short command, whose imports make half a million."""


def main() -> None:
    """Entry point."""
    gc.set_threshold(_COLLECTED_AFTER)
    atexit.register(gc.freeze)  # what is there when the process ends goes with it, and need not be searched through before
    run_command(app)
