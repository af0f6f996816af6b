"""Natural prose to train on, and the prose kept away from training."""

from pathlib import Path

from experiments.train_mini.config import TrainConfig
from mechdyn.errors import InputError
from mechdyn.tasks.haystack import read_haystack


def natural_texts(config: TrainConfig) -> list[str]:
    """The books of the prose folder that training may see."""
    return [_read(path) for path in _books(config) if config.held_out not in path.name]


def held_out_file(config: TrainConfig) -> Path:
    """The book that training never sees."""
    files = [path for path in _books(config) if config.held_out in path.name]
    if len(files) != 1:
        raise InputError(f"one file of {config.prose} must have {config.held_out!r} in its name (it is held out), found {len(files)}")
    return files[0]


def _books(config: TrainConfig) -> list[Path]:
    files = sorted(config.prose.glob("*.txt"))
    if not files:
        raise InputError(f"no .txt file in {config.prose}; --prose names a folder of books")
    return files


def _read(path: Path) -> str:
    return " ".join(read_haystack(path).split())
