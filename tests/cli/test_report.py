"""`mechdyn report`: what it writes says what the run's files say."""

import json
import re

import pytest

from tests.views.reading import html_tables, markdown_tables, numbers


@pytest.fixture
def made(run, tmp_path):
    """A run of verify with its report: the verdict as recorded, and the folder."""
    assert run("verify", "dynamism", "--model", "planted-static", "--length", "128", "--out", "first")[0] == 0
    code, out, err = run("report", "first")
    assert code == 0, err
    (verdict,) = json.loads((tmp_path / "first" / "verdicts.json").read_text())
    assert re.search(r"dynamism +│ refuted +│ planted-static +│ niah +│ quick but for length 128 +│ as recorded, nothing changed", out)
    return verdict, tmp_path / "first"


def test_page_and_markdown_say_what_the_files_of_the_run_say(made):
    verdict, folder = made
    registered = json.loads((folder / "run.json").read_text())["registered"]["hash"]
    page, text = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    for tables in (html_tables(page), markdown_tables(text)):
        header, row = tables[0]
        assert header[0] == "claim" and row == [
            "dynamism",
            verdict["verdict"],
            "planted-static",
            "niah",
            "quick but for length 128",
            "as recorded, nothing changed",
            f"yes, hash {registered}",
        ]
        measured = {line[0]: line for line in tables[1][1:]}
        for evidence in verdict["evidence"]:
            shown = measured[evidence["name"]]
            assert numbers(shown[1]) == pytest.approx([evidence["estimate"], evidence["low"], evidence["high"]], abs=5e-4)
            assert int(shown[2]) == evidence["n"]
        assert measured["adjacent Jaccard"][3:8] == ["0.279", "0.319", "0.367", "0.498", "0.506"]
    for reason in verdict["reasons"]:
        assert reason.strip() in page
    assert "mechdyn verify dynamism --model planted-static --length 128 --out first" in page
    assert "mechdyn verify dynamism --model planted-static --length 128 --out first" in text

    manifest = json.loads((folder / "traces" / "manifest.json").read_text())
    for tables in (html_tables(page), markdown_tables(text)):
        cells = {row[0]: row[1] for table in tables for row in table if len(row) == 2}
        assert cells["revision"] == manifest["revision"] and f"torch {manifest['packages']['torch']}" in cells["packages"]
        assert cells["Table 2: probes, needles"] == "mechdyn probe"
        assert cells["beyond the paper: anticipation, needles"] == "mechdyn verify anticipation"
    assert "#view-0" in text and 'id="view-0"' in page


def test_the_report_goes_where_it_is_told_and_only_one_line_tells_of_bad_runs(run, made, tmp_path):
    code, out, _ = run("report", "first", "--as-recorded", "--out", "elsewhere/deep")
    assert code == 0 and "as recorded" in out
    assert sorted(path.name for path in (tmp_path / "elsewhere" / "deep").iterdir()) == ["report.html", "report.md"]
    before = sorted(tmp_path.rglob("*"))
    for arguments in (["first", "nowhere"], ["elsewhere"]):
        code, out, err = run("report", *arguments, "--out", "new")
        assert (code, out) == (2, "") and re.fullmatch(r"error: (nowhere|elsewhere) is not the folder of a run.*\n", err)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_report_of_one_trace_has_no_table_of_verdicts(run, tmp_path):
    assert run("trace", "--length", "128", "--no-show", "--out", "one")[0] == 0
    code, out, err = run("report", "one")
    assert (code, err) == (0, "") and out.splitlines()[0].startswith("page ")
    page, text = ((tmp_path / "one" / name).read_text() for name in ("report.html", "report.md"))
    assert "Verdicts" not in page and "Verdicts" not in text
    assert html_tables(page)[0][0] == ["what", "how to run it"]
