"""The books and Python sources to train on, and those kept away from training."""

import sysconfig
from functools import cache
from pathlib import Path

from experiments.train_mini.config import TrainConfig
from mechdyn.errors import InputError
from mechdyn.tasks.haystack import read_haystack

HELD_OUT_MODULES = (
    "argparse bisect calendar cmd colorsys configparser contextlib csv dataclasses difflib fractions heapq imaplib pathlib queue sched "
    "shlex statistics textwrap zipfile"
).split()
"""Modules of the standard library that training never sees: the Python haystack of the evaluation."""
_SKIPPED_FOLDERS = frozenset("site-packages test tests idlelib lib2to3 __pycache__ encodings turtledemo distutils".split())


def natural_texts(config: TrainConfig) -> list[str]:
    """The books of the prose folder that training may see."""
    return [_read(path) for path in _books(config) if config.held_out not in path.name]


def held_out_file(config: TrainConfig) -> Path:
    """The book that training never sees."""
    files = [path for path in _books(config) if config.held_out in path.name]
    if len(files) != 1:
        raise InputError(f"one file of {config.prose} must have {config.held_out!r} in its name (it is held out), found {len(files)}")
    return files[0]


def training_sources(config: TrainConfig) -> list[str]:
    """The Python sources that training may see."""
    return list(_sources(_library(config)))


def held_out_sources(config: TrainConfig) -> list[Path]:
    """The modules that training never sees."""
    return [path for name in HELD_OUT_MODULES if (path := _library(config) / f"{name}.py").is_file()]


def _library(config: TrainConfig) -> Path:
    return config.sources or Path(sysconfig.get_path("stdlib"))


@cache
def _sources(library: Path) -> tuple[str, ...]:
    files = [path for path in sorted(library.rglob("*.py")) if not _SKIPPED_FOLDERS.intersection(path.relative_to(library).parts)]
    kept = [path for path in files if path.parent != library or path.stem not in HELD_OUT_MODULES]
    texts = [text for path in kept if (text := path.read_text(encoding="utf-8", errors="ignore").strip())]
    if not texts:
        raise InputError(f"no Python source in {library}; --sources names a folder of .py files")
    return tuple(texts)


def _books(config: TrainConfig) -> list[Path]:
    files = sorted(config.prose.glob("*.txt"))
    if not files:
        raise InputError(f"no .txt file in {config.prose}; --prose names a folder of books")
    return files


def _read(path: Path) -> str:
    return " ".join(read_haystack(path).split())
