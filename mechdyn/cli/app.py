"""The application that the commands are registered on, and how an error becomes one line."""

import shlex
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from mechdyn.errors import MechdynError
from mechdyn.text import visible

app = typer.Typer(
    help="Which attention heads retrieve what, at which step of generation, and does it matter?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(wanted: bool) -> bool:
    if wanted:
        from mechdyn import __version__

        print(f"mechdyn {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", help="Say which version this is, and end.", is_eager=True, callback=_say_version)
    ] = False,
) -> None:
    """Which attention heads retrieve what, at which step of generation, and does it matter?"""


def run_command(command: Callable[..., object]) -> None:
    """Run a command line: what was wrong with it, or with what it names, is one line and exit code 2.

    A run that is told to end keeps what it has.
    """
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _stop)
    try:
        command(standalone_mode=False)
    except MechdynError as error:
        _refuse(str(error))
    except TyperException as error:
        if words := error.format_message():
            _refuse(f"{words.rstrip('.')}; see {_asked_for(error)} --help")
        sys.exit(2)  # its help is on the page already
    except OSError as error:
        # A path that no system call takes, a disk that is full: the machine's word for it, and the file that it is about.
        _refuse(f"{error.strerror or type(error).__name__}{f': {error.filename}' if error.filename else ''}")
    except (KeyboardInterrupt, typer.Abort):
        again = shlex.join([*_program(), *sys.argv[1:]])
        print(f"stopped; what was done is kept, and the same command goes on from there: {visible(again)}", file=sys.stderr)
        sys.exit(130)


def _program() -> list[str]:
    """The words by which this command line was started."""
    name = Path(sys.argv[0]).name
    return ["python", "-m", "mechdyn"] if name == "__main__.py" else [name]


def _refuse(words: str) -> NoReturn:
    print(f"error: {visible(' '.join(words.split()))}", file=sys.stderr)
    sys.exit(2)


def _asked_for(error: TyperException) -> str:
    """The command that an error of usage is about, as it was typed."""
    context = getattr(error, "ctx", None)
    return str(context.command_path) if context is not None else "mechdyn"


def _stop(number: int, _: object) -> None:
    """End as an error would, so that whatever is open is closed."""
    sys.exit(128 + number)


def run_script(command: Callable[..., None]) -> None:
    """Run one function as a command line of its own: an experiment's script."""
    script = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    script.command()(command)
    run_command(script)
