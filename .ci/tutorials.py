"""The tutorials: `tutorials.py check` runs each and holds it against its notebook, `tutorials.py save` writes the notebooks anew.

A tutorial is a py:percent text, which is what is edited and reviewed, and a notebook of the same cells with their outputs. `save` needs the
extra [images]: it puts a picture beside each figure, for code hosts that run no scripts.
"""

import base64
import os
import sys
import time
from pathlib import Path

import jupytext
import nbformat
import plotly.io as pio
from nbclient import NotebookClient
from outputs import alike

from mechdyn.models.fetch import is_fetched
from mechdyn.models.registry import FETCHED

FOLDER = Path(__file__).resolve().parents[1] / "tutorials"
PLOTLY, PNG = "application/vnd.plotly.v1+json", "image/png"
MAX_SECONDS = 120
NEEDED = {"09_a_real_model": "smollm2-135m"}
"""Models that a tutorial needs and that are not part of the package."""


def run(text: Path) -> nbformat.NotebookNode:
    """The notebook of a text, executed; an assert that fails stops it."""
    notebook = jupytext.read(text)
    for index, cell in enumerate(notebook.cells):
        cell.id = f"cell-{index}"  # else a new one at random each time
    started = time.monotonic()
    client = NotebookClient(
        notebook, timeout=MAX_SECONDS, kernel_name="python3", record_timing=False, resources={"metadata": {"path": FOLDER}}
    )
    client.execute()
    print(f"== tutorials: {text.stem} ran in {time.monotonic() - started:.0f} s", flush=True)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def texts(cell: nbformat.NotebookNode) -> str:
    """What a cell printed or returned as text; of a figure nothing."""
    shown = []
    for output in cell.get("outputs", ()):
        data = output.get("data", {})
        shown.append(output.get("text", "") if output.output_type == "stream" else "" if PLOTLY in data else data.get("text/plain", ""))
    return "".join(shown)


def differences(text: Path) -> list[str]:
    """A line for every cell that is not as its notebook has it: its source, or what it shows."""
    saved_at = text.with_suffix(".ipynb")
    if not saved_at.exists():
        return [f"{saved_at.name} is missing"]
    fresh, saved = run(text), nbformat.read(saved_at, as_version=4)
    if [cell.source for cell in fresh.cells] != [cell.source for cell in saved.cells]:
        return [f"{saved_at.name} has other cells than {text.name}"]
    pairs = enumerate(zip(fresh.cells, saved.cells, strict=True))
    return [
        f"{text.name}, cell {index}: shows {texts(a)!r}, its notebook {texts(b)!r}"
        for index, (a, b) in pairs
        if not alike(texts(a), texts(b))
    ]


def save(text: Path) -> None:
    """Write the notebook with its outputs, a picture beside each figure."""
    notebook = run(text)
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            figure = output.get("data", {}).get(PLOTLY)
            if figure is not None:
                drawn = pio.from_json(pio.to_json({name: figure[name] for name in ("data", "layout")}, validate=False), skip_invalid=True)
                output.data[PNG] = base64.b64encode(drawn.to_image("png", width=800)).decode()
                output.data.pop("text/html", None)
    nbformat.write(notebook, text.with_suffix(".ipynb"))


def is_possible(text: Path) -> bool:
    """Whether the model that a tutorial needs is on this machine; where it is not, that is said."""
    model = NEEDED.get(text.stem)
    if model is None or is_fetched(FETCHED[model]):
        return True
    print(f"== tutorials: {text.stem} is left out, {model} is not on this machine (mechdyn models get {model})", flush=True)
    return False


def main() -> None:
    """Entry point."""
    # One thread: the last digit of a sum must not depend on the machine.
    os.environ |= {"PLOTLY_RENDERER": "plotly_mimetype", "TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}
    command, names = "".join(sys.argv[1:2]), sys.argv[2:]
    tutorials = [text for text in sorted(FOLDER.glob("[0-9]*.py")) if (not names or text.stem in names) and is_possible(text)]
    if command == "save":
        for text in tutorials:
            save(text)
    elif command == "check":
        wrong = [line for text in tutorials for line in differences(text)]
        hint = "; where the change is meant, run make tutorials-save and review it"
        sys.exit("\n".join(wrong) + hint if wrong else 0)
    else:
        sys.exit("usage: tutorials.py check | save [TUTORIAL…], all when none is named")


if __name__ == "__main__":
    main()
