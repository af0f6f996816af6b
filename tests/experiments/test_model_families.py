"""The table of docs/models.md says what the check says."""

from pathlib import Path

import pytest

from experiments.model_families import FAMILIES, row

TABLE = Path(__file__).parents[2] / "docs" / "model_families.md"
NAMED = ("Mistral, sliding window", "Gemma 2", "Gemma 3", "OLMo 2", "GPT-2", "GPT-NeoX", "Mamba", "BERT", "T5")
"""The families that issue and paper name and that have no test of their own; all of them in the slow test."""


def written_row(family):
    return next(line for line in TABLE.read_text().splitlines() if line.startswith(f"| {family.name} |"))


@pytest.mark.parametrize("name", NAMED)
def test_a_familys_row_is_what_the_check_gives(name):
    family = next(family for family in FAMILIES if family.name == name)
    assert row(family) == written_row(family)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_row_is_what_the_check_gives(family):
    assert row(family) == written_row(family)


def test_every_family_has_a_row_and_none_fails():
    lines = TABLE.read_text().splitlines()[2:]
    assert len(lines) == len(FAMILIES)
    assert not [line for line in lines if "| fails |" in line]
