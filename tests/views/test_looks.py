"""A page in both looks: it shows the one that its reader's system asks for, follows when that changes, and prints light."""

from pathlib import Path

import numpy as np
import pytest

from experiments.gallery.examples import EXAMPLES, Made
from mechdyn.evidence import Table
from mechdyn.reports.page import report_html
from mechdyn.reports.sections import Report, Section
from mechdyn.views.looks import InBothLooks, in_both_looks
from mechdyn.views.page import save_in_both_looks, save_page, save_text
from mechdyn.views.theme import DARK, LIGHT, Look
from tests.browser import Browser, needs_browser

SHOWN = ("timeline", "grid", "verdict", "alarm")
"""Plotly's figures, two of which hold colours of their own beside those of the theme, and HTML."""
DRAWN = "document.querySelectorAll('.plot-container').length === 3"
BACKGROUNDS = """[
  getComputedStyle(document.documentElement).getPropertyValue('--background'),
  ...[...document.querySelectorAll('.js-plotly-plot')].map(plot => plot.querySelector('.main-svg').style.background),
  ...[document.body, ...document.querySelectorAll('.md-alarm')].filter(each => each.checkVisibility())
    .map(each => getComputedStyle(each).backgroundColor)]"""
"""The theme's, then as they are drawn: of each figure, of the page, of the visible HTML."""
COLORS = """[...new Set([...document.querySelectorAll('body *')].filter(each => each.checkVisibility()).flatMap(each => {
  const style = getComputedStyle(each);
  return [style.color, style.fill, style.stroke, style.backgroundColor, style.borderBottomColor];
}))]"""


def views(dark):
    return {name: EXAMPLES[name](Made(), dark=dark) for name in SHOWN}


def rgb(color: str) -> str:
    return f"rgb({', '.join(str(int(color[place : place + 2], 16)) for place in (1, 3, 5))})"


def only(look: Look, other: Look) -> set[str]:
    """Colours that this look has and the other has not."""

    def named(each):
        return {each.background, each.ink, each.muted, each.line, each.accent, *each.series, *each.scale, *each.below, *each.quality}

    return {rgb(color) for color in named(look) - named(other)}


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("looks")
    table = Table("Numbers", ("what", "value"), (("one", "1.000 [0.900, 1.100]"),), numbers=("value",))
    section = Section("A part", "mechdyn verify dynamism", (table,), in_both_looks(views), ("a remark",))
    report = Report("A report", table, (section,), table, (table,))
    return {
        "figures": save_in_both_looks(views, folder / "figures.html", "Figures"),
        "report": save_text(report_html(report), folder / "report.html"),
        "dark": save_text(report_html(report, dark=True), folder / "dark.html"),
        "light": save_page(in_both_looks(views), folder / "light.html", "Light", dark=False),
    }


@needs_browser
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("name", ["figures", "report"])
def test_a_page_follows_what_the_reader_s_system_asks_for(browser: Browser, pages: dict[str, Path], name: str, width: int) -> None:
    for dark, (look, other) in ((True, (DARK, LIGHT)), (False, (LIGHT, DARK))):
        browser.open(pages[name], width=width, dark=dark, ready=DRAWN)
        assert browser.trouble() == []
        assert browser.run(BACKGROUNDS) == [look.background, *[rgb(look.background)] * 5]
        assert not only(other, look) & set(browser.run(COLORS))


@needs_browser
def test_it_changes_with_the_system_and_is_light_on_paper(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["report"], dark=False, ready=DRAWN)
    asked = {"name": "prefers-color-scheme", "value": "dark"}
    for media, look in (("screen", DARK), ("print", LIGHT), ("screen", DARK)):
        browser.command("Emulation.setEmulatedMedia", media=media, features=[asked])
        browser.wait(f"({BACKGROUNDS}).slice(1).every(color => color === '{rgb(look.background)}')")
    browser.command("Emulation.setEmulatedMedia", media="", features=[])
    assert browser.trouble() == []


@needs_browser
def test_a_look_that_was_asked_for_stays_whatever_the_system_says(browser: Browser, pages: dict[str, Path]) -> None:
    for name, look, dark in (("dark", DARK, False), ("light", LIGHT, True)):
        browser.open(pages[name], dark=dark, ready=DRAWN)
        assert browser.run(BACKGROUNDS) == [look.background, *[rgb(look.background)] * 5] and browser.trouble() == []


def test_both_looks_show_the_same_numbers() -> None:
    for name, view in in_both_looks(views).items():
        assert isinstance(view, InBothLooks)
        assert view.in_look(dark=True) is view.dark and view.in_look(dark=False) is view.light
        if name != "alarm":
            for light, dark in zip(view.light.data, view.dark.data, strict=True):
                assert np.array_equal(np.asarray(light.x, dtype=object), np.asarray(dark.x, dtype=object))
                assert light.type != "heatmap" or np.array_equal(light.z, dark.z, equal_nan=True)
