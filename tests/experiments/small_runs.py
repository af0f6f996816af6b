"""Books and a training run small enough for tests."""

from pathlib import Path
from typing import Any

from experiments.train_mini.config import Stage, TrainConfig
from experiments.train_mini.texts import HELD_OUT_MODULES
from mechdyn.tasks.prose import procedural_prose

SECRET = "zanzibar"
"""A word that only the held-out book has."""


def write_books(folder: Path) -> Path:
    """Two books to train on and one to hold out."""
    folder.mkdir()
    for seed, name in enumerate(("a-writer_first", "b-writer_second")):
        (folder / f"{name}.txt").write_text(procedural_prose(100 + seed, 300))
    (folder / "c-writer_sherlock.txt").write_text(f"They sailed to {SECRET} again. " * 300)
    write_sources(folder / "library")
    return folder


def write_sources(folder: Path) -> None:
    """Two modules to train on, a test, and every module that is held out."""
    (folder / "test").mkdir(parents=True)
    (folder / "test" / "tested.py").write_text(f"# {SECRET}\n")
    for name in ("one", "two"):
        (folder / f"{name}.py").write_text(
            "".join(f'def {name}_{i}(x: int) -> str:\n    """Add {i}."""\n    return "{i}"\n' for i in range(99))
        )
    for name in HELD_OUT_MODULES:
        (folder / f"{name}.py").write_text(f'"""Held out: {SECRET}."""\n')


def small_config(out: Path, prose: Path, **changes: Any) -> TrainConfig:
    """Six steps of a tiny model on short rows, one worker, without compilation."""
    sizes: dict[str, Any] = {"d_model": 32, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "d_head": 8, "d_mlp": 32, "n_ctx": 384}
    schedule: dict[str, Any] = {"steps": 6, "decay_steps": 2, "peak": 1.0, "warmup_steps": 2, "head_dropout_from": 2, "checkpoint_every": 3}
    stages = (Stage(0, (160,), 320), Stage(2, (160, 200), 400))
    return TrainConfig(
        **{
            "out": out,
            "prose": prose,
            "sources": prose / "library",
            "workers": 1,
            "compile": False,
            "stages": stages,
            **sizes,
            **schedule,
            **changes,
        }
    )
