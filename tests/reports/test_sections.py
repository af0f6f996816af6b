"""Reports: everything is escaped, nothing is lost, and the page holds together in a browser."""

import re
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest

from mechdyn.evidence import Evidence, Outcome, Table, Verdict
from mechdyn.reports.page import report_html, report_markdown
from mechdyn.reports.sections import Report, Section, make_report, sections
from mechdyn.runs.contents import Judged
from mechdyn.runs.finished import RunFolder
from mechdyn.runs.folder import RunRecord
from mechdyn.runs.read import KINDS, Run
from mechdyn.stats.interval import Interval
from mechdyn.traces.stored import as_stored
from mechdyn.views import timeline
from mechdyn.views.page import save_text
from tests.browser import Browser, needs_browser
from tests.views.made_up import made_up
from tests.views.reading import html_tables, markdown_tables

ODD = [
    "<script>alert(1)</script>",
    "a | b \\| c",
    "[x](javascript:alert(1))",
    "*b* _i_ `c` ~s~ $x$",
    "&lt;",
    "[red]x[/red]",
    "# no\nheading",
]


def report(**changes):
    """A report of odd strings wherever text can come from outside."""
    words = Table(ODD[0], tuple(ODD), (tuple(ODD),))
    trace = made_up(np.ones((3, 2, 2)), texts=["</script><script>alert(2)</script>", "a", "b"])
    section = Section(ODD[0], "mechdyn trace --haystack '<b>'", (words,), {ODD[2]: timeline(trace), "second": timeline(trace)}, tuple(ODD))
    return Report(**({"title": ODD[0], "verdicts": words, "sections": (section,), "missing": words, "manifests": (words,)} | changes))


def test_odd_text_comes_back_as_it_was() -> None:
    made = report()
    shown = [cell.replace("\n", "⏎") for cell in ODD]
    for tables in (html_tables(report_html(made)), markdown_tables(report_markdown(made, "report.html"))):
        assert len(tables) == 4
        for rows in tables:
            assert rows == [shown, shown]


def test_nothing_of_it_becomes_markup() -> None:
    page, text = report_html(report()), report_markdown(report(), "report.html")
    assert "<script>alert(" not in page and "<b>'" not in page
    assert page.count("</script>") == page.count("<script")
    body = "\n".join(line for line in text.splitlines() if not line.startswith("    "))
    assert not re.search(r"(?<!\\)<", body)
    assert re.findall(r"(?<!\\)\]\(([^)]*)\)", body) == ["report.html#view-0", "report.html#view-1"]
    assert not [line for line in text.splitlines() if line.startswith("# no")]


def test_a_command_stays_in_its_block_whatever_the_folder_is_called() -> None:
    section = Section("h", "mechdyn trace --model 'a\n# b\n\n<script>alert(1)</script>'")
    text = report_markdown(report(sections=(section,)), "report.html")
    assert "    mechdyn trace --model 'a⏎# b⏎⏎<script>alert(1)</script>'" in text.splitlines()
    assert not [line for line in text.splitlines() if line.startswith(("# b", "<script"))]


def test_a_report_without_verdicts_has_no_table_of_them() -> None:
    made = report(verdicts=None, sections=())
    assert html_tables(report_html(made)) == html_tables(report_html(report(sections=())))[1:]
    assert markdown_tables(report_markdown(made, "p")) == markdown_tables(report_markdown(report(sections=()), "p"))[1:]
    assert make_report([]).verdicts is None


@pytest.mark.parametrize(
    ("asked", "preset"), [({}, "quick"), ({"lengths": [256, 512], "runs": 1}, "quick but for length 256, 512, runs 1")]
)
def test_a_claim_of_another_package_is_shown_and_a_preset_is_told_with_what_differs(tmp_path: Path, asked: dict, preset: str) -> None:
    record = RunRecord("verify", {"task": "niah", "preset": "quick", "lengths": [], "runs": None, **asked}, {"name": "mini"}, "mini")
    folder = RunFolder(tmp_path, record, {"traces": {"evaluation": [as_stored(made_up(np.ones((3, 2, 2))))]}}, {})
    verdict = Verdict("mini", "theirs", Outcome.SUPPORTED, (Evidence("their number", Interval(0.5, 0.25, 0.75, 40)),))
    made = make_report([Run(folder, "mechdyn verify theirs", Judged(verdict, False, (), None, {}))])
    assert made.verdicts is not None and made.verdicts.rows == (("theirs", "supported", "mini", "niah", preset, "as recorded", "no"),)
    (section,) = made.sections
    assert section.heading == "theirs: mini, niah: supported"
    assert section.tables[0].rows == (("their number", "0.500 [0.250, 0.750]", "40"),)
    assert report_html(made).count('drawInLook("') == 1


def test_every_kind_of_run_has_a_function_of_its_own() -> None:
    fallback = sections.dispatch(object)
    contents = [get_type_hints(kind.read)["return"] for kind in KINDS.values()]
    assert len(contents) > 4 and all(sections.dispatch(content) is not fallback for content in contents)


@needs_browser
def test_the_page_in_a_browser_loads_nothing_and_prints(browser: Browser, tmp_path: Path) -> None:
    long = timeline(made_up(np.ones((60, 2, 2)), texts=["token"] * 60))
    section = Section("wide", "mechdyn trace", report().sections[0].tables, {"one": long})
    page = save_text(report_html(report(sections=(section,))), tmp_path / "report.html")
    browser.open(page, width=500, ready="document.querySelector('.js-plotly-plot .plot-container') !== null")
    assert browser.trouble() == []
    assert browser.text("h1") == ODD[0] and browser.texts("#verdicts thead th") == [cell.replace("\n", "⏎") for cell in ODD]
    assert browser.run("document.querySelector('main').firstElementChild.id") == "verdicts"
    assert browser.run("[...document.querySelectorAll('nav a')].map(a => !!document.querySelector(a.getAttribute('href')))") == [True] * 3
    width = "document.querySelector('.js-plotly-plot').getBoundingClientRect().width"
    before = browser.run(width)
    printed = browser.run(f"(dispatchEvent(new Event('beforeprint')), {width})")
    after = browser.run(f"(dispatchEvent(new Event('afterprint')), {width})")
    assert before > 500 >= printed and after == before
