"""What holds for all tests: no network, no browser, one thread a process.

Nothing here imports mechdyn: the jaxtyping hook must be in place first.
"""

import os

import pytest

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "WANDB_MODE": "disabled"}
# Tests say what holds without an accelerator, wherever they run.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
# Set before torch is imported. The tests are small: more threads only cost, the more so with several pytest workers.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Should a figure be shown by mistake, it goes nowhere.
os.environ["PLOTLY_RENDERER"] = "json"
# readline, which pytest loads, hands the width of its terminal on to the worker processes; tables in a pipe have a width of their own.
os.environ.pop("COLUMNS", None)


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run a command in an empty folder: exit code, standard output, standard error."""
    from mechdyn.cli import main

    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr("sys.argv", ["mechdyn", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture(scope="session")
def browser():
    """One headless Chromium for all tests that ask for it."""
    from tests.browser import open_browser

    with open_browser() as opened:
        yield opened
