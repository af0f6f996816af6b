"""The page of published lists: its tables are made from the lists that are there, and only they are."""

import json
import random
from pathlib import Path

import pytest

from experiments import head_lists
from mechdyn.errors import InputError
from mechdyn.evidence import Table
from tests.real_data import real_data

PAGE = Path(__file__).parents[2] / "docs" / "head_lists.md"


def made_up(folder: Path) -> None:
    """Four lists under names of published ones."""
    rng = random.Random(0)
    base = {f"{layer}-{head}": [round(rng.random() ** 20, 3) for _ in range(9)] for layer in range(32) for head in range(32)}
    for name in ("L3-8B-I DeCoRe", "L3.1-8B-I RetMask", "Qwen1.5-14B Wu", "Qwen1.5-14B-Chat Wu"):
        rows = {key: [value * rng.random() for value in row] for key, row in base.items()}
        (folder / head_lists.LISTS[name][0]).write_text(json.dumps(rows))


def test_every_pair_and_picture_names_known_lists():
    assert {name for _, *names in head_lists.PAIRS for name in names} | {
        *head_lists.DIFFERENCE,
        *head_lists.MATRIX,
    } <= head_lists.LISTS.keys()


def test_the_tables_are_made_between_the_marks(tmp_path, capsys):
    made_up(tmp_path)
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text(encoding="utf-8"))
    head_lists.head_lists(tmp_path, page)
    text = page.read_text()
    assert "| base and derived | Qwen1.5-14B Wu, Qwen1.5-14B-Chat Wu | " in text and "L2-80k Wu" not in text
    assert text.count("| sparse |") == 4 and text.count("| intrinsic |") == 1 and "4 lists" in text
    before = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if not line.startswith("|")]
    assert [line for line in text.splitlines() if not line.startswith("|")] == before, "sentences stay"
    assert capsys.readouterr().out.count("left out ") == len(head_lists.LISTS) - 4
    head_lists.head_lists(tmp_path, page)
    assert page.read_text() == text, "made again, it is the same"


def test_what_is_missing_is_one_line(tmp_path):
    with pytest.raises(InputError, match="none of the published lists is in"):
        head_lists.read_lists(tmp_path)
    with pytest.raises(InputError, match="the page has no place for the table 'x'"):
        head_lists.with_tables("a page", {"x": Table("", ("a",), ())})


def test_the_page_says_what_the_published_lists_say(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text(encoding="utf-8"))
    head_lists.head_lists(real_data("head_scores"), page)
    assert page.read_text() == PAGE.read_text(encoding="utf-8")
