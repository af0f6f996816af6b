"""The public names: written out once, all of them there, and the API page lists exactly these."""

import ast
import re
from pathlib import Path

import mechdyn

ROOT = Path(__file__).resolve().parents[1]


def test_every_public_name_is_there() -> None:
    missing = [name for name in mechdyn.__all__ if getattr(mechdyn, name, None) is None]
    assert not missing
    assert mechdyn.__all__ == sorted(mechdyn.__all__) and len(set(mechdyn.__all__)) == len(mechdyn.__all__)


def test_type_checkers_see_the_same_names_from_the_same_homes() -> None:
    # They cannot follow imports by name, so the names are imported for them alone.
    tree = ast.parse((ROOT / "mechdyn" / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    homes = {**mechdyn._HOMES, **dict.fromkeys(mechdyn._MODULES, "mechdyn")}
    assert seen == homes and sorted(homes) == mechdyn.__all__


def test_the_api_page_lists_exactly_these() -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    listed = re.findall(r"^   mechdyn\.(\w+)$", page, re.MULTILINE) + re.findall(r"^`mechdyn\.(\w+)` holds", page, re.MULTILINE)
    assert sorted(listed) == mechdyn.__all__
    assert sorted(re.findall(r"^   mechdyn\.views\.(\w+)$", page, re.MULTILINE)) == mechdyn.views.__all__


def test_an_unknown_name_is_told_the_known_ones() -> None:
    try:
        mechdyn.nothing  # noqa: B018
    except AttributeError as error:
        assert "module 'mechdyn' has no attribute 'nothing'; its public names are Ablation, Dynamic" in str(error)
    else:
        raise AssertionError("an unknown name must be an AttributeError")
