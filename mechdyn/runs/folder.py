"""The folder of a run: its resolved configuration, its store, its results; written so that nothing is ever half there."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mechdyn.errors import InputError, StoreError

CONFIG = "run.json"


def open_run(folder: str | Path, config: Mapping[str, Any]) -> Path:
    """Make the folder of a run, or go on with it where the same run was started before.

    `batch_size` is how a run is carried out, not what it is: it is left out.

    Raises:
        InputError: the folder cannot be written, or holds something else than a run.
        StoreError: the folder belongs to a run with another configuration.
    """
    folder, config = Path(folder), {name: value for name, value in config.items() if name != "batch_size"}
    try:
        if (folder / CONFIG).is_file():
            _require_same(folder, config)
            return folder
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(
                f"output folder {folder} exists and is not the folder of a run (it has no {CONFIG}); name a new one with --out"
            )
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"output folder {folder} cannot be written ({error.strerror}); name another with --out") from error
    write_json(folder / CONFIG, dict(config))
    return folder


def write_json(path: Path, content: Any) -> None:
    """Write JSON in one piece: readers see the old file or the new one."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a file that a run wrote.

    Raises:
        StoreError: it is not there or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read ({error}); restore it, or run again into a new folder") from error


def write_text(path: Path, text: str) -> None:
    """Write a text file in one piece.

    Raises:
        InputError: the folder cannot be written, or has no space left.
    """
    try:
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(partial, 0o644)
            os.replace(partial, path)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"output folder {path.parent} cannot be written ({error.strerror}); name another with --out") from error


def _require_same(folder: Path, config: Mapping[str, Any]) -> None:
    try:
        found = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{folder / CONFIG} cannot be read ({error}); name a new folder with --out") from error
    wanted = json.loads(json.dumps(dict(config)))
    different = [name for name in sorted(found.keys() | wanted.keys()) if found.get(name) != wanted.get(name)]
    if different:
        name = different[0]
        raise StoreError(
            f"output folder {folder} belongs to another run: its {name} is {found.get(name)!r}, this run's is {wanted.get(name)!r}; "
            "name a new folder with --out"
        )
