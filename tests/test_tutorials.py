"""Tutorials as they are committed: notebook and text agree, results are asserted, pictures are there. `make tutorials` runs them."""

import base64
import json
import re
import runpy
from itertools import pairwise
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "tutorials"
# How many results each tutorial asserts at least, and how often it asks to guess: fewer is a loss that someone must have meant.
EXPECTED = {
    "01_first_trace": (7, 3),
    "02_ablation": (9, 4),
    "03_hidden_states_and_probes": (7, 2),
    "04_questions_and_your_own_json": (6, 2),
    "05_dynamic_rag": (6, 3),
    "06_your_own_score_and_model": (7, 3),
    "07_your_own_text_and_dataframes": (6, 2),
    "08_published_lists_and_detection": (7, 3),
    "09_a_real_model": (4, 3),
    "10_improve": (13, 2),
    "11_retmask": (4, 2),
    "12_kv_budgets": (6, 2),
}
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))


def cells_of_text(name: str) -> list[tuple[str, str]]:
    """Kind and source of the cells of a py:percent text, read by the rules of the format."""
    parts = re.split(r"^# %%(.*)\n", (FOLDER / f"{name}.py").read_text(), flags=re.MULTILINE)[1:]
    cells = []
    for mark, body in zip(parts[::2], parts[1::2], strict=True):
        lines = body.strip("\n").split("\n")
        markdown = "[markdown]" in mark
        cells.append(("markdown" if markdown else "code", "\n".join(re.sub("^# ?", "", line) if markdown else line for line in lines)))
    return cells


def notebook(name: str) -> dict:
    return json.loads((FOLDER / f"{name}.ipynb").read_text())


def test_every_tutorial_is_known_and_listed() -> None:
    assert sorted(EXPECTED) == NAMES == sorted(path.stem for path in FOLDER.glob("*.ipynb"))
    listed = re.findall(r"\]\((\w+)\.ipynb\)", (FOLDER / "README.md").read_text())
    assert listed == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_notebook_and_text_have_the_same_cells(name: str) -> None:
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in notebook(name)["cells"]]
    assert cells == cells_of_text(name)


@pytest.mark.parametrize("name", NAMES)
def test_results_are_asserted_and_asked_for_first(name: str) -> None:
    cells = cells_of_text(name)
    n_asserts = sum(len(re.findall("^ *assert ", source, re.MULTILINE)) for kind, source in cells if kind == "code")
    n_guesses = sum(kind == "code" and source.startswith("my_guess = ") for kind, source in cells)
    assert (n_asserts, n_guesses) >= EXPECTED[name] and n_guesses >= EXPECTED[name][1]
    for (kind, before), (_, source) in pairwise(cells):
        if source.startswith("my_guess = "):
            assert kind == "markdown" and re.search(r"\*\*(Before you run the next cell|Guess)", before)


@pytest.mark.parametrize("name", NAMES)
def test_outputs_show_on_a_code_host(name: str) -> None:
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 500_000
    code = [cell for cell in notebook(name)["cells"] if cell["cell_type"] == "code"]
    outputs = [output for cell in code for output in cell["outputs"]]
    assert all(cell["execution_count"] for cell in code) and outputs
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    shown = [output.get("data", {}) for output in outputs]
    pictures = [data["image/png"] for data in shown if "application/vnd.plotly.v1+json" in data]
    assert all(base64.b64decode("".join(picture)).startswith(b"\x89PNG") for picture in pictures)
    assert pictures or any("text/html" in data for data in shown)
    told = json.dumps(outputs)
    assert not [folder for folder in (str(Path.cwd()), str(Path.home()), "/home/", "/tmp/") if folder in told]


@pytest.mark.parametrize(
    "fresh, saved, same",
    [
        ("AUPRC 0.94 [0.92, 0.94]", "AUPRC 0.94 [0.92, 0.95]", True),
        ("AUPRC 0.94", "AUPRC 0.97", False),
        ("L3H6 at 0.50", "L3H7 at 0.50", False),
        ("12 heads", "13 heads", False),
        ("True", "False", False),
        ("0.5 0.6", "0.5", False),
        ("-0.01", "0.01", True),
    ],
)
def test_outputs_may_differ_in_the_last_digits_of_decimals_alone(fresh: str, saved: str, same: bool) -> None:
    alike = runpy.run_path(str(FOLDER.parent / ".ci" / "outputs.py"))["alike"]
    assert alike(fresh, saved) is same
