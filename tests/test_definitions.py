"""docs/definitions.md: every section that code or a document cites is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "definitions.md"
FOLDERS = ("mechdyn", "experiments", "tutorials", "docs")
FILES = [
    path
    for folder in FOLDERS
    for kind in ("*.py", "*.md")
    for path in sorted((ROOT / folder).rglob(kind))
    if path != PAGE and "docs/_" not in path.as_posix()
]
SECTIONS = set(re.findall(r"^## (.+)$", PAGE.read_text(), re.MULTILINE))
CITED = re.compile(r'docs/definitions\.md`?(?:,\s+"([^"]+)")?')


def citations(text):
    """The sections that a text cites; an empty one where it cites the page alone. Lines of a docstring may part a citation."""
    return [" ".join(section.split()) for section in CITED.findall(text)]


FOUND = {path.relative_to(ROOT).as_posix(): found for path in FILES if (found := citations(path.read_text()))}


@pytest.mark.parametrize("name", FOUND)
def test_a_citation_names_a_section_that_exists(name):
    missing = [section for section in FOUND[name] if section not in SECTIONS]
    assert not missing, f"{name} cites {missing}; docs/definitions.md has {sorted(SECTIONS)}"


def test_the_sections_that_the_numbers_rest_on_are_cited():
    assert {"Steps", "Scores", "Static heads", "Overlap", "Ablation", "Dynamic RAG", "Verdicts"} <= set().union(*FOUND.values())


def test_a_citation_without_a_section_or_over_two_lines_is_seen():
    assert citations('as docs/definitions.md has it, and (docs/definitions.md, "Static\n    heads")') == ["", "Static heads"]


def test_nothing_cites_definitions_that_are_not_here():
    unknown = [path.name for path in FILES if re.search(r"\bDEFINITIONS\b", path.read_text())]
    assert not unknown
