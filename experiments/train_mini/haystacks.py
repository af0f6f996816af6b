"""The texts that the evaluation hides its needles in, one of each kind; training saw none of them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.train_mini.cells import BOOK, ESSAYS, PARAGRAPHS, PROCEDURAL, PYTHON, STRAIGHT_BOOK
from experiments.train_mini.config import TrainConfig
from experiments.train_mini.texts import held_out_file, held_out_sources
from experiments.train_mini.typography import set_quotes
from mechdyn.errors import InputError
from mechdyn.tasks.haystack import read_haystack
from mechdyn.tasks.questions import context_text


@dataclass(frozen=True)
class HaystackFiles:
    """Where the texts come from.

    Args:
        prose: the folder of books that was given to training; the held-out one of them is read.
        questions: a file in HotpotQA's JSON layout, for its paragraphs; None leaves them out.
        essays: a text file or a folder of `.txt` files off the web; None leaves them out.
    """

    prose: Path
    questions: Path | None = None
    essays: Path | None = None


def write_haystacks(files: HaystackFiles, folder: Path) -> dict[str, Path | None]:
    """Write one text file for each kind; what `niah` takes as its haystack, by kind (None: procedural prose).

    The held-out book is there twice, as it is and with straight quotes; nothing else differs.
    """
    config = TrainConfig(out=Path(), prose=files.prose)
    book = held_out_file(config).read_text(encoding="utf-8")
    sources = held_out_sources(config)
    if not sources:
        raise InputError(
            "none of the held-out modules is in this Python's standard library; run the evaluation with a Python that has its .py files"
        )
    texts = {
        BOOK: book,
        STRAIGHT_BOOK: set_quotes(book, ('"', '"'), ("'", "'")),
        PYTHON: "\n\n".join(path.read_text(encoding="utf-8") for path in sources),
    }
    if files.questions is not None:
        texts[PARAGRAPHS] = _paragraphs(files.questions)
    if files.essays is not None:
        texts[ESSAYS] = read_haystack(files.essays)
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, Path | None] = {PROCEDURAL: None}
    for kind, text in texts.items():
        path = folder / f"{kind.replace(',', '').replace(' ', '_').lower()}.txt"
        path.write_text(text, encoding="utf-8")
        found[kind] = path
    return found


def _paragraphs(questions: Path) -> str:
    """Every paragraph of a HotpotQA file once, as `Title: sentence sentence`."""
    try:
        items: list[dict[str, Any]] = json.loads(questions.read_text(encoding="utf-8"))
        titled = {title: sentences for item in items for title, sentences in item["context"]}
        return context_text(list(titled.items()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{questions} is not in HotpotQA's layout ({error}); give one that is, as hotpot_dev_distractor_v1.json"
        ) from error
