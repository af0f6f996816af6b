"""JSON lines that a killed run goes on from: each ends with a hash of itself, and a last one that was cut off is as if it had not been."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from mechdyn.errors import InputError, StoreError
from mechdyn.traces.seals import text_hash

Read = TypeVar("Read")
_HASH, _DIGITS = "sha256", 16
"""The key of a line's hash, and how much of it there is."""


def as_line(content: Mapping[str, Any]) -> str:
    """A line of JSON that ends with the hash of all that is before it."""
    text = json.dumps({**content, _HASH: ""}, ensure_ascii=False, allow_nan=False)
    return text.removesuffix('"}') + _hash(text) + '"}\n'


def _hash(text: str) -> str:
    return text_hash(text.removesuffix('"}'))[:_DIGITS]


def _checked(line: str) -> dict[str, Any]:
    """The content of a line.

    Raises:
        ValueError: it is no JSON, or not what was written. Lines of earlier versions have no hash.
    """
    content = json.loads(line)
    found = content.pop(_HASH, None)
    if found is not None and (line[-_DIGITS - 2 :] != f'{found}"}}' or _hash(f'{line[: -_DIGITS - 2]}"}}') != found):
        raise ValueError("a line is not what was written")
    return content


def append_lines(path: Path, text: str) -> None:
    """Add whole lines behind those there are; they are on the disk when this returns.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            file.truncate(_whole(path.read_bytes()))
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(f"output folder {path.parent} cannot be written ({error.strerror}); name another with --out") from error


def read_lines(path: Path, parse: Callable[[Mapping[str, Any]], Read]) -> list[Read]:
    """What `parse` makes of each line; none where there is no such file.

    Raises:
        StoreError: the file is damaged.
    """
    if not path.is_file():
        return []
    try:
        content = path.read_bytes()
        return [parse(_checked(line)) for line in content[: _whole(content)].decode().split("\n") if line]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(f"{path} is damaged ({type(error).__name__}: {error}); start again with a new --out") from error


def _whole(content: bytes) -> int:
    """Bytes up to the end of the last whole line."""
    return content.rfind(b"\n") + 1
