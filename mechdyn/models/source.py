"""What a model's name stands for, from names and files alone: nothing is loaded, and torch is not needed."""

from pathlib import Path

from mechdyn.errors import InputError
from mechdyn.models.fetch import fetched_file
from mechdyn.models.registry import CONTROLS, FETCHED, MINI_FOLDER, PAPER_MODELS, list_models
from mechdyn.models.revision import file_digest, folder_revision


def revision_on_disk(name: str) -> str | None:
    """The revision that a model of this name would have if it were loaded; None where only loading tells: a control, a hub id.

    Raises:
        InputError: nothing of that name here.
    """
    if name in CONTROLS:
        return None
    if file := gguf_file_of(name):
        return gguf_revision(name, file)
    source = Path(source_of(name))
    return folder_revision(source) if source.is_dir() else None


def gguf_file_of(name: str) -> Path | None:
    """The GGUF file behind a name: a path of one, a folder that holds one, or a model that `mechdyn models get` has fetched.

    Raises:
        InputError: a file that is not there, several in one folder, or a model that is not fetched yet.
    """
    return fetched_file(FETCHED[name]) if name in FETCHED else gguf_in(Path(name).expanduser())


def source_of(name: str) -> str:
    """The folder or hub id behind a name."""
    if name == "mini":
        return str(MINI_FOLDER)
    if name in PAPER_MODELS:
        return PAPER_MODELS[name]
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise InputError(f"folder {name} holds no config.json and no GGUF file; give a Hugging Face model directory or a GGUF file")
        return str(path)
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return name
    known = ", ".join(listing.name for listing in list_models())
    raise InputError(f"unknown model {name!r}: give one of {known}, a local Hugging Face directory, a GGUF file, or a hub id owner/name")


def gguf_in(path: Path) -> Path | None:
    """The GGUF file that a path means: itself, or the only one in a folder without `config.json`; None for anything else.

    Raises:
        InputError: a path that ends in `.gguf` and is no file, or a folder with several.
    """
    if path.suffix == ".gguf" and not path.is_dir():
        if not path.is_file():
            raise InputError(f"no file {path}; give the path of a GGUF file that is there")
        return path
    if not path.is_dir() or (path / "config.json").is_file():
        return None
    found = sorted(path.glob("*.gguf"))
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise InputError(f"folder {path} holds {len(found)} GGUF files ({names}); give the path of one of them")
    return found[0] if found else None


def gguf_revision(name: str, file: Path) -> str:
    """The SHA-256 of a GGUF file: it holds all that decides what the model computes.

    Raises:
        InputError: a file that cannot be read.
    """
    try:
        return file_digest(file)
    except OSError as error:
        raise InputError(f"model {name}: {file} cannot be read ({error.strerror or error}); give a file that may be read") from error
