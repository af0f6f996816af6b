"""What the files of a store must be, byte for byte, and what is said where one cannot be read.

`manifest.json` ends with the SHA-256 of its own text. The two Parquet files of a part have a seal, `parts/part-ID.json`: a text of the same
kind with their lengths, their SHA-256 and that of the manifest that they were written under. A store of schema version 2 has neither.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from mechdyn.errors import StoreError
from mechdyn.traces.folder import Folder

_OWN, _END = "sha256", '"\n}\n'
_SETTLED = 2.0
"""Seconds after which a second change of a file has another time of change than the first, on any file system that is in use."""
_verified: set[tuple[Any, ...]] = set()
"""Files that this process has found to be what their seal says: each is read through once, not at every look at it."""


@dataclass(frozen=True)
class SealedFile:
    """A file of a part; length and SHA-256 are None where nothing recorded them."""

    path: str
    size: int | None
    sha256: str | None


@dataclass(frozen=True)
class Seal:
    """What `parts/part-ID.json` says."""

    steps_size: int
    steps_sha256: str
    traces_size: int
    traces_sha256: str
    manifest: str
    """SHA-256 of the text of the manifest that the part was written under."""


def sealed_json(values: Mapping[str, Any]) -> str:
    """JSON text that ends with the SHA-256 of all of the text before it."""
    head = json.dumps({**values, _OWN: ""}, indent=2, ensure_ascii=False).removesuffix(_END.strip("\n"))
    return head + text_hash(head) + _END


def is_sealed(text: str) -> bool:
    """Whether a text is to the last character what `sealed_json` wrote."""
    own = -64 - len(_END)
    return text[own:] == text_hash(text[:own]) + _END


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal_part(steps: Path, traces: Path, manifest: str) -> str:
    """The text of the seal of two files that have been written in full."""
    values: dict[str, Any] = {}
    for kind, path in (("steps", steps), ("traces", traces)):
        values[f"{kind}_sha256"] = file_hash(path)
        values[f"{kind}_size"] = path.stat().st_size
    return sealed_json({**values, "manifest": text_hash(manifest)})


def parse_seal(text: str, where: str) -> Seal:
    """Read a part's seal; `where` is named in errors.

    Raises:
        StoreError: a text that is not as it was written.
    """
    try:
        if not is_sealed(text):
            raise StoreError(damaged(where, "its text does not have the SHA-256 that it ends with"))
        return Seal(**{name: value for name, value in json.loads(text).items() if name != _OWN})
    except (ValueError, TypeError, AttributeError) as error:
        raise StoreError(damaged(where, f"it is no seal of a part ({error})")) from error


def text_hash(text: str) -> str:
    """SHA-256 of a text's UTF-8 bytes."""
    return hashlib.sha256(text.encode()).hexdigest()


def verify(folder: Folder, file: SealedFile) -> None:
    """Refuse a file that is not what its seal says; one that is, is read through once in a process as long as it is not changed.

    Raises:
        StoreError: another length or another SHA-256, or a file that cannot be read.
    """
    if file.sha256 is None:
        return
    key, settled = _state(folder, file)
    if key in _verified:
        return
    found = _sha256(folder, file.path)
    if found != file.sha256:
        raise StoreError(damaged(file.path, f"its SHA-256 is {found[:16]}…, it was written with {file.sha256[:16]}…"))
    if settled:
        _verified.add(key)


@contextmanager
def reading(folder: Folder, file: SealedFile) -> Iterator[None]:
    """Name the file in whatever goes wrong with it; it is called damaged only where its bytes are not what they were."""
    try:
        yield
    except MemoryError as error:
        raise StoreError(f"{file.path} cannot be read: memory ran out ({_line(error)}); read fewer traces or columns at a time") from error
    except (pa.ArrowException, OSError) as error:
        # Arrow reports what it cannot decode as an OSError without a number; the system's own errors have one, or a class of their own.
        of_the_system = isinstance(error, OSError) and (type(error) is not OSError or error.errno is not None)
        if of_the_system or (file.sha256 is not None and _sha256(folder, file.path) == file.sha256):
            raise StoreError(unreadable(file.path, error)) from error
        raise StoreError(damaged(file.path, _line(error))) from error


def damaged(path: str, reason: str) -> str:
    """What to say of a file whose content is not what was written."""
    return (
        f"{path} is damaged or truncated: {reason}; delete the files of its part (of this name in steps/, traces/ and parts/), "
        "then run again: only that part's traces are made anew"
    )


def unreadable(path: str, error: BaseException) -> str:
    """What to say of a file that may be whole and cannot be read now."""
    return f"{path} cannot be read ({_line(error)}); nothing says that it is damaged: check rights, open files and the disk, then try again"


def _state(folder: Folder, file: SealedFile) -> tuple[tuple[Any, ...], bool]:
    """What changes when a file does, and whether it lies long enough for the next change to show in it."""
    if not folder.local:
        return (folder.url, file.path, file.sha256), True
    try:
        stat = Path(file.path).stat()
    except OSError as error:
        raise StoreError(unreadable(file.path, error)) from error
    settled = abs(time.time() - max(stat.st_mtime, stat.st_ctime)) > _SETTLED
    return (file.path, file.sha256, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns), settled


def _sha256(folder: Folder, path: str) -> str:
    try:
        with open(path, "rb") if folder.local else folder.fs.open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise StoreError(unreadable(path, error)) from error


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
