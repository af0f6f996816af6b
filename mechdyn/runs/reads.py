"""Small arrays kept in a run's folder by the unit that they are of, so that a killed run does not make them again."""

import logging
import os
import tempfile
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

    def find(self, key: str, size: int) -> Float[np.ndarray, " value"] | None:
        """The array of a unit; None where there is none yet, or a damaged one, which is to be made again."""
        path = self._folder / f"{key}.npy"
        if not path.is_file():
            return None
        found = _load(path)
        if found is not None and found.shape == (size,):
            return found
        _log.warning("%s is damaged and is made again", path)
        return None

    def keep(self, key: str, made: Float[np.ndarray, " value"]) -> None:
        """Store the array of a unit, in one piece.

        Raises:
            InputError: the folder cannot be written, or has no space left.
        """
        try:
            handle, partial = tempfile.mkstemp(dir=self._folder, prefix=f".{key}.")
            try:
                with os.fdopen(handle, "wb") as file:
                    np.save(file, made, allow_pickle=False)
                os.replace(partial, self._folder / f"{key}.npy")
            except BaseException:
                Path(partial).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise InputError(f"output folder {self._folder} cannot be written ({error.strerror}); name another with --out") from error


def _load(path: Path) -> Float[np.ndarray, "*any"] | None:
    try:
        return np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
    except (OSError, ValueError, EOFError):
        return None
