"""The paper map is true: every code name imports, every command and script exists, every part of the paper has a row."""

import importlib
import re

import pytest

import mechdyn
from tests.documents import ROOT, Document
from tests.test_documents import help_of

PAGE = Document(ROOT / "docs" / "paper_map.md")
ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in PAGE.text.splitlines()
    if line.startswith("|") and not re.match(r"\| (---|part of the paper)|\|---", line)
]
NAMED = sorted(set(re.findall(r"`([^`]+)`", "\n".join(row[2] for row in ROWS))))
PARTS = "Eq. 1; Eq. 2; Eq. 3; Eq. 4; Table 1; Table 2; Table 3; Table 4; Algorithm 1; Algorithm 2; A.1; A.2; A.3; A.4; A.5; B.1; B.2; C"


def test_every_row_has_code_and_a_status() -> None:
    assert len(ROWS) > 15
    for row in ROWS:
        assert len(row) == 5 and row[3] in ("here", "part", "planned"), row[0]
        assert (row[2] != "") == (row[3] != "planned"), row[0]
        assert row[3] != "part" or row[4], row[0]


@pytest.mark.parametrize("part", PARTS.split("; "))
def test_every_part_of_the_paper_has_a_row(part: str) -> None:
    assert any(re.search(rf"(?<![\w.]){re.escape(part)}(?![\w.])", row[0]) for row in ROWS)


@pytest.mark.parametrize("number", range(1, 21))
def test_every_figure_has_a_row(number: int) -> None:
    found = {n for row in ROWS for numbers in re.findall(r"Figures? ([\d, and to]+)", row[0]) for n in _numbers(numbers)}
    assert number in found


@pytest.mark.parametrize("name", NAMED)
def test_what_a_row_names_exists(name: str) -> None:
    if name.startswith("mechdyn "):
        words = name.split()
        text = help_of(words[1])
        assert all(word in text for word in words if word.startswith("--"))
        if words[1] == "verify":
            from mechdyn.claims.claim import CLAIMS

            assert words[2] in CLAIMS.names()
    elif name.startswith("experiments/"):
        assert (ROOT / name.split()[0]).is_file()
    elif name.startswith("--"):
        assert name.split()[0] in help_of("verify")
    elif name.startswith("md."):
        thing = mechdyn
        for part in name.split(".")[1:]:
            thing = getattr(thing, part)
    else:
        _import(name)


def _import(name: str) -> None:
    """A module, or a thing in one."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, thing = name.rpartition(".")
        assert hasattr(importlib.import_module(module), thing), name


def _numbers(text: str) -> set[int]:
    """`2 and 9 to 11` as numbers."""
    found = {int(number) for number in re.findall(r"\d+", text)}
    for low, high in re.findall(r"(\d+) to (\d+)", text):
        found |= set(range(int(low), int(high) + 1))
    return found
