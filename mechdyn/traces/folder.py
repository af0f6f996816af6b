"""Where a store lies: a local folder or any `fsspec` URL, and how a part comes to lie there whole or not at all.

A part is three files, `steps/part-ID.parquet`, `traces/part-ID.parquet` and its seal `parts/part-ID.json`. It counts once the seal exists,
which is put in place last. On a local disk they are written under `.staging/`, flushed and moved; elsewhere they are written to a temporary
folder of this machine and uploaded, an upload to an object store being atomic. While a local writer works on a part it holds the part's
lock, so that whoever finds an unfinished part can tell a dead writer's from a live one's.
"""

import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

import fsspec
import pyarrow.fs as pafs
from filelock import FileLock, Timeout
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from mechdyn.errors import StoreError

MANIFEST = "manifest.json"
STEPS = "steps"
TRACES = "traces"
PARTS = "parts"
STAGING = ".staging"
ORPHAN_AGE = timedelta(days=1)
"""Outside a local disk there are no locks: there, files without a seal count as a dead writer's after this long."""
_SUFFIX = {STEPS: ".parquet", TRACES: ".parquet", PARTS: ".json"}


@dataclass(frozen=True, eq=False)
class Folder:
    """A place in a file system."""

    url: str
    fs: fsspec.AbstractFileSystem
    root: str

    @classmethod
    def at(cls, url: str | os.PathLike[str]) -> "Folder":
        """The folder of a path or an `fsspec` URL; nothing is read or made yet."""
        try:
            fs, root = url_to_fs(os.fspath(url))
        except (ImportError, ValueError) as error:
            raise StoreError(f"a trace store needs a folder or a URL that fsspec knows, got {url} ({error})") from error
        return cls(os.fspath(url), fs, root.rstrip("/"))

    @property
    def local(self) -> bool:
        return isinstance(self.fs, LocalFileSystem)

    @property
    def arrow(self) -> pafs.FileSystem:
        """The same file system as Arrow sees it."""
        return pafs.LocalFileSystem() if self.local else pafs.PyFileSystem(pafs.FSSpecHandler(self.fs))

    def path(self, *parts: str) -> str:
        return "/".join((self.root, *parts))

    def names(self) -> list[str]:
        """What lies directly in the folder; nothing where there is none."""
        return sorted(self._sizes())

    def part_sizes(self, kind: str) -> dict[str, int]:
        """Bytes of every file of `kind` by part id, in the order of the ids, which is that of writing."""
        sizes = self._sizes(kind)
        prefix, suffix = "part-", _SUFFIX[kind]
        named = [name for name in sorted(sizes) if name.startswith(prefix) and name.endswith(suffix)]
        return {name.removeprefix(prefix).removesuffix(suffix): sizes[name] for name in named}

    def read_text(self, path: str) -> str:
        """The text of a file.

        Raises:
            FileNotFoundError, NotADirectoryError: there is none.
            StoreError: it cannot be read, or is no UTF-8.
        """
        try:
            return self.fs.cat_file(path).decode()
        except (FileNotFoundError, NotADirectoryError):
            raise
        except OSError as error:
            raise StoreError(f"{path} cannot be read ({error}); check the address and your rights to it") from error
        except UnicodeDecodeError as error:
            raise StoreError(f"{path} is damaged: it is no UTF-8 text ({error}); restore the file, or trace into a new folder") from error

    def read_manifest(self) -> str | None:
        """The manifest's text; None where there is no manifest."""
        try:
            return self.read_text(self.path(MANIFEST))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write_manifest(self, text: str) -> None:
        """Make the folders and put the manifest in place, whole."""
        try:
            for name in (STEPS, TRACES, PARTS, *([STAGING] if self.local else [])):
                self.fs.makedirs(self.path(name), exist_ok=True)
            if not self.local:
                self.fs.pipe_file(self.path(MANIFEST), text.encode())
                return
            staged = Path(self.path(STAGING, f"manifest-{secrets.token_hex(4)}.json"))
            staged.write_bytes(text.encode())
            _put(staged, Path(self.path(MANIFEST)))
        except OSError as error:
            raise StoreError(f"a trace store cannot be made at {self.url} ({error}); name a folder that can be written to") from error

    @contextmanager
    def new_part(self) -> Iterator["StagedPart"]:
        """Three files to write on this machine; they become a part when the block ends, and are dropped when it raises."""
        part = f"{time.time_ns():016x}-{secrets.token_hex(4)}"
        if not self.local:
            with tempfile.TemporaryDirectory(prefix="mechdyn-") as scratch:
                staged = StagedPart.under(Path(scratch), part)
                yield staged
                for kind, file in staged.files.items():
                    self.fs.put_file(str(file), part_file(self, kind, part))
            return
        staging = Path(self.path(STAGING))
        staging.mkdir(exist_ok=True)
        staged = StagedPart.under(staging, part)
        with _locked(staging / f"{part}.lock"):
            try:
                yield staged
                for kind, file in staged.files.items():
                    _put(file, Path(part_file(self, kind, part)))
            except BaseException:
                self._drop(part)
                raise

    def sweep(self) -> int:
        """Delete what killed writers left behind, never what a live one is writing; returns the number of parts dropped.

        Only for stores with seals: without one, a part counts as unfinished.
        """
        unfinished = {*self.part_sizes(STEPS), *self.part_sizes(TRACES)} - set(self.part_sizes(PARTS))
        if not self.local:
            # Steps are uploaded first and deleted last.
            return sum(self._drop(part) for part in sorted(unfinished) if self._is_old(part_file(self, STEPS, part)))
        staging = Path(self.path(STAGING))
        staging.mkdir(exist_ok=True)
        for name in self._sizes(STAGING):
            part, _, kind = name.partition(".")
            # A lock without files may be one that its writer is just about to take.
            if kind in _SUFFIX or self._is_old(self.path(STAGING, name)):
                unfinished.add(part)
        dropped = 0
        for part in sorted(unfinished):
            with suppress(Timeout), _locked(staging / f"{part}.lock"):
                dropped += self._drop(part)
        return dropped

    def _drop(self, part: str) -> bool:
        """Delete an unfinished part; the caller holds its lock, so if its seal is in place by now it was finished meanwhile."""
        finished = self.fs.exists(part_file(self, PARTS, part))
        files = [self.path(STAGING, f"{part}.{kind}") for kind in _SUFFIX]
        for file in files if finished else [*files, part_file(self, TRACES, part), part_file(self, STEPS, part)]:
            with suppress(FileNotFoundError):
                self.fs.rm_file(file)
        return not finished

    def _is_old(self, path: str) -> bool:
        try:
            modified = self.fs.modified(path)
        except (NotImplementedError, FileNotFoundError):
            return False
        return datetime.now(UTC) - (modified if modified.tzinfo else modified.replace(tzinfo=UTC)) > ORPHAN_AGE

    def _sizes(self, *parts: str) -> dict[str, int]:
        path = self.path(*parts) if parts else self.root
        self.fs.invalidate_cache(path)
        try:
            entries = self.fs.ls(path, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise StoreError(f"{path} cannot be listed ({error}); check the address and your rights to it") from error
        return {PurePosixPath(entry["name"]).name: entry["size"] or 0 for entry in entries}


@dataclass(frozen=True)
class StagedPart:
    """Where a part's files are to be written."""

    part: str
    steps: Path
    traces: Path
    seal: Path

    @classmethod
    def under(cls, folder: Path, part: str) -> "StagedPart":
        """The files of a part in one folder, named as `sweep` knows them."""
        return cls(part, *(folder / f"{part}.{kind}" for kind in (STEPS, TRACES, PARTS)))

    @property
    def files(self) -> dict[str, Path]:
        """The file of each kind, in the order in which they are put in place."""
        return {STEPS: self.steps, TRACES: self.traces, PARTS: self.seal}


def part_file(folder: Folder, kind: str, part: str) -> str:
    """The path of one of a part's files."""
    return folder.path(kind, f"part-{part}{_SUFFIX[kind]}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that the system frees when its holder dies; raises Timeout where another holds it."""
    lock = FileLock(path, timeout=0)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()
        # A part's id is never used again, so nobody else waits for this file.
        with suppress(OSError):
            path.unlink()


def _put(staged: Path, target: Path) -> None:
    """Move a file into place so that after a power cut it is there whole or not at all: its bytes, then its name."""
    with open(staged, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(staged, target)
    if os.name == "posix":  # elsewhere a folder cannot be opened
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
