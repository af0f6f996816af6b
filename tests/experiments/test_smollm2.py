"""The parts of docs/smollm2: each is a command that mechdyn takes, and answers are counted by the length of their prompts."""

import shlex
from dataclasses import fields

import pytest
from scipy.stats import binomtest

from experiments.smollm2 import PARTS, PROGRAMS, answers_by_length, page_of, smollm2
from mechdyn.decoding.trace import trace
from mechdyn.errors import InputError
from mechdyn.models.load import load_model
from mechdyn.reports.sections import Section
from mechdyn.tasks.niah import niah


@pytest.fixture(scope="module")
def traces():
    model = load_model("mini")
    samples = [niah(model, length=length, depth=0.5, seed=seed) for length in (96, 128) for seed in range(3)]
    return [trace(model, sample) for sample in samples]


@pytest.mark.parametrize("name", PARTS)
def test_a_part_asks_its_command_what_that_takes(name):
    part = PARTS[name]
    known = {field.name for field in fields(part.config)}
    assert {*part.asked, *part.files} <= known
    words = shlex.split(part.command("a-model"))
    assert " ".join(words[:2]) == PROGRAMS[part.config][0]
    assert words[words.index("--model") + 1] == "a-model"
    assert all(words[words.index(f"--{file}") + 1] == file.upper() for file in part.files)
    assert part.page_command(name).split()[3:] == [name, *(word for file in part.files for word in (f"--{file}", file.upper()))]


def test_a_part_that_is_unknown_or_lacks_its_file_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(InputError, match="no part 'poem'; give one of dynamism"):
        smollm2(["poem"], out=tmp_path, docs=tmp_path)
    with pytest.raises(InputError, match="the part hotpotqa reads files; give it --data"):
        smollm2(["hotpotqa"], out=tmp_path, docs=tmp_path)
    assert not list(tmp_path.iterdir())


def test_answers_are_counted_by_length(traces):
    rows = answers_by_length(traces).rows
    assert [row[:2] for row in rows] == [("96", "3"), ("128", "3")]
    for row, found in zip(rows, (traces[:3], traces[3:]), strict=True):
        right = sum(each.answer in each.text for each in found)
        bounds = binomtest(right, 3).proportion_ci(0.95, method="wilson")
        assert row[2] == f"{right / 3:.3f} [{bounds.low:.3f}, {bounds.high:.3f}]"
        heads = sum(int(each.active.sum()) for each in found)
        retrieving = sum(int(each.active.flatten(1).any(dim=1).sum()) for each in found)
        assert row[4].startswith(f"{heads / retrieving:.3f} [")


def test_a_page_has_the_command_the_tables_and_the_pictures(traces, tmp_path):
    table = answers_by_length(traces)
    section = Section("A heading", "not this", (table,), remarks=("a remark",))
    page = page_of("prose", ["mechdyn verify x"], [section], [table], [tmp_path / "prose.png"])
    assert "mechdyn verify x" in page and "not this" not in page and str(tmp_path) not in page
    assert (
        "## A heading" in page
        and "- a remark" in page
        and "## Answers by length" in page
        and "| 96 | 3 |" in page
        and "![prose](prose.png)" in page
    )
