"""Real data beside the repository: never copied into it, and skipped without."""

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("MECHDYN_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
"""`../shared/data` beside the repository, or the folder that the environment variable names."""


def real_data(name: str) -> Path:
    """A file or folder of it; the test is skipped where it is not there."""
    if not (FOLDER / name).exists():
        pytest.skip(f"needs {name} in ../shared/data beside the repository, or in the folder MECHDYN_TEST_DATA")
    return FOLDER / name
