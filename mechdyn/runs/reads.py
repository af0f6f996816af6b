"""Small arrays kept in a run's folder by the unit that they are of, so that a killed run does not make them again."""

import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mechdyn.errors import InputError

_log = logging.getLogger(__name__)


class Reads:
    """A folder with a `.npy` file a unit."""

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"output folder {folder} cannot be written ({error.strerror}); name another with --out") from error
        self._folder = folder

    def get(self, key: str, size: int, make: Callable[[], Float[np.ndarray, " value"]]) -> Float[np.ndarray, " value"]:
        """The array of a unit: what is stored, else what `make` gives, which is then stored. A damaged file is made again.

        Raises:
            InputError: the folder cannot be written, or has no space left.
        """
        path = self._folder / f"{key}.npy"
        if path.is_file():
            found = _load(path)
            if found is not None and found.shape == (size,):
                return found
            _log.warning("%s is damaged and is made again", path)
        made = make()
        try:
            handle, partial = tempfile.mkstemp(dir=self._folder, prefix=f".{key}.")
            try:
                with os.fdopen(handle, "wb") as file:
                    np.save(file, made, allow_pickle=False)
                os.replace(partial, path)
            except BaseException:
                Path(partial).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise InputError(f"output folder {self._folder} cannot be written ({error.strerror}); name another with --out") from error
        return made


def _load(path: Path) -> Float[np.ndarray, "*any"] | None:
    try:
        return np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
    except (OSError, ValueError, EOFError):
        return None
