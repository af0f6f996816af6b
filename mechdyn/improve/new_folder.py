"""Writing a folder in one piece."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mechdyn.errors import InputError


@contextmanager
def new_folder(folder: str | Path) -> Iterator[Path]:
    """A folder to write into that takes its name when the block ends well; what a killed run left half written is begun anew.

    Raises:
        InputError: there is something of that name, or it cannot be written.
    """
    folder = Path(folder)
    if folder.exists():
        raise InputError(f"{folder} exists already; name a new folder")
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        os.replace(partial, folder)
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error.strerror}); name another") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
