"""A command of mechdyn in a process of its own that has everything imported already, so that a kill falls into work and not into imports.

The processes are forked from a server that has imported this module and has done nothing else.
"""

import os
import sys
from typing import Any

from mechdyn.cli import main
from mechdyn.decoding import engines, trace
from mechdyn.runs import sweep, worker
from mechdyn.runs.verify import verify

LOADED = (engines, trace, sweep, worker)
"""What commands import only when they need it."""


def run_verify(config: Any, folder: str, said: str) -> None:
    """`verify`; an error goes to a file as Python tells it."""
    os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT, 0o644), 2)
    verify(config, folder)


def run_mechdyn(arguments: list[str], said: str, environment: dict[str, str]) -> None:
    """What `mechdyn ARGUMENTS` does, as the head of a session of processes; what it says goes to a file."""
    os.setsid()
    os.environ.update(environment)
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.argv = ["mechdyn", *arguments]
    main()
