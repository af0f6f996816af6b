"""A run's folder and its copy at an `fsspec` URL.

Traces do not go this way: their store lies at the URL itself. The other files are few and small. Each is written here first, whole, and
then put there; object stores (S3 and the like) put an object whole or not at all. Of other file systems that is not known: a file that
was cut off by a kill is put again by the next start of the command.
"""

import hashlib
import shutil
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs

from mechdyn.errors import InputError, StoreError
from mechdyn.runs.checksums import SEALS
from mechdyn.runs.folder import RECORD


def push(folder: Path, url: str) -> int:
    """Put every file that differs from its copy, checksums before what they are of; `run.json` last, since it tells that the copy is there.

    Returns how many were put.

    Raises:
        StoreError: the place cannot be written.
    """
    if not folder.is_dir():
        return 0
    fs, root = _at(url)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and (path.name == SEALS or not path.name.startswith("."))]
    put = 0
    try:
        for path in sorted(files, key=lambda path: path.name == RECORD):
            target = f"{root}/{path.relative_to(folder).as_posix()}"
            content = path.read_bytes()
            if fs.exists(target) and _digest(fs.cat_file(target)) == _digest(content):
                continue
            fs.makedirs(target.rpartition("/")[0], exist_ok=True)
            fs.pipe_file(target, content)
            put += 1
    except OSError as error:
        raise StoreError(f"{url} cannot be written ({error}); check the address and your rights to it, then run again") from error
    return put


def pull(url: str, folder: Path) -> int:
    """Fetch a copy where there is no folder yet, so that another machine goes on with the run; the folder is there once it is whole.

    Returns how many files were fetched.

    Raises:
        StoreError: the place cannot be read.
        InputError: a name there that would lead out of the folder.
    """
    fs, root = _at(url)
    if (folder / RECORD).is_file():
        return 0
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        names = sorted(fs.find(root)) if fs.exists(f"{root}/{RECORD}") else []
        if not names:
            return 0
        shutil.rmtree(partial, ignore_errors=True)
        for name in names:
            relative = Path(name[len(root) :].lstrip("/"))
            if relative.is_absolute() or ".." in relative.parts:
                raise InputError(f"{url} holds the name {name!r}, which leads out of its folder; delete it there")
            (partial / relative).parent.mkdir(parents=True, exist_ok=True)
            (partial / relative).write_bytes(fs.cat_file(name))
        partial.replace(folder)
    except OSError as error:
        raise StoreError(f"{url} cannot be read ({error}); check the address and your rights to it") from error
    return len(names)


def _at(url: str) -> tuple[Any, str]:
    try:
        fs, root = url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise InputError(f"the output must be a folder or a URL that fsspec knows, got {url} ({error})") from error
    return fs, root.rstrip("/")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
