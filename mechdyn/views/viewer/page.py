"""The pages of a viewer, and the folder that they and their data lie in."""

import html
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from string import Template

from mechdyn.errors import InputError
from mechdyn.hashing import content_hash
from mechdyn.text import visible
from mechdyn.views.css import page_colors
from mechdyn.views.explorer.page import asset, explorer_page, joined_scripts
from mechdyn.views.page import policy

PAGE, EXPLORER, DATA = "index.html", "explorer.html", "data"
MARK = ".viewer"
"""A file that says that a folder is a viewer's, and of what."""
_SHARED = ("dom.js", "data.js")
_SCRIPTS = (
    "load.js",
    "index.js",
    "state.js",
    "filter.js",
    "words.js",
    "list.js",
    "detail.js",
    "grid.js",
    "heads.js",
    "head.js",
    "compare.js",
    "run.js",
    "main.js",
)
_SAMPLE = ("load.js", "index.js", "sample.js")


def viewer_page(title: str, dark: bool | None = None) -> str:
    """The page of list, heads, comparison and results."""
    script = joined_scripts([*map(asset, _SHARED), *map(_own, _SCRIPTS)])
    return Template(_own("page.html")).substitute(
        title=html.escape(visible(title)),
        policy=policy([script], parts=True),
        colors=page_colors(dark),
        style=_own("style.css"),
        script=script,
    )


def sample_page(title: str, dark: bool | None = None) -> str:
    """The explorer of one sample of a viewer, which the address names."""
    source = "\n".join(map(_own, _SAMPLE))
    return explorer_page(html.escape(visible(title)), source, dark=dark, parts=True)


def pages_hash() -> str:
    """A hash of all that the pages are made of: another one has other pages."""
    return content_hash([*map(_own, (*_SCRIPTS, *_SAMPLE, "page.html", "style.css")), sample_page("")])


def mark_of(folder: Path) -> str | None:
    """What a folder's mark says; None where it is not a viewer's."""
    try:
        return (folder / MARK).read_text(encoding="utf-8")
    except OSError:
        return None


@contextmanager
def new_folder(folder: Path, mark: str) -> Iterator[Path]:
    """A folder to write a viewer into, which takes its place whole at the end; an older viewer there is replaced.

    Raises:
        InputError: something else is there, or it cannot be written.
    """
    if folder.exists() and not (folder.is_dir() and (mark_of(folder) is not None or not any(folder.iterdir()))):
        raise InputError(f"output folder {folder} exists and is not a viewer; name a new one with --out")
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    try:
        (beside / DATA).mkdir(parents=True)
        try:
            yield beside
            (beside / MARK).write_text(mark, encoding="utf-8")
            if folder.exists():
                folder.rename(old)
            beside.rename(folder)
        finally:
            for left in (beside, old):
                shutil.rmtree(left, ignore_errors=True)
    except OSError as error:
        raise InputError(
            f"the viewer cannot be written to {folder}: {error.strerror or error}; choose a writable folder with --out"
        ) from error


def write_data(folder: Path, name: str, lines: Iterable[str]) -> None:
    """One data file."""
    with (folder / DATA / f"{name}.js").open("w", encoding="ascii", newline="\n") as file:
        file.writelines(lines)


def write_page(folder: Path, name: str, page: str) -> None:
    """One page; half characters become ?, as in the hash of its script."""
    (folder / name).write_bytes(page.encode("utf-8", errors="replace"))


def _own(name: str) -> str:
    return files("mechdyn.views.viewer").joinpath(name).read_text(encoding="utf-8")
