"""The page that `mechdyn heads compare` writes, as a reader sees it: headless Chromium, without a network."""

from pathlib import Path

import pytest

from mechdyn.reports.head_lists import comparison_page
from mechdyn.studies.head_lists import compare_lists
from mechdyn.views.page import save_text
from tests.browser import Browser, needs_browser
from tests.stats.test_head_lists import drawn

pytestmark = needs_browser
HOSTILE = "<img src=x onerror=alert(1)>"
LISTS = {HOSTILE: drawn(0, 4, 6), "b" * 60: drawn(1, 4, 6), "c": drawn(2, 4, 6), "d": drawn(3, 4, 6)}


def written(folder: Path, names: list[str], *, dark: bool = False) -> Path:
    found = compare_lists({name: LISTS[name] for name in names}, 5)
    return save_text(comparison_page(found, f"{len(names)} lists of {HOSTILE}", dark=dark), folder / f"heads-{len(names)}-{dark}.html")


def opened(browser: Browser, page: Path, n_figures: int, width: int = 1280) -> None:
    browser.open(page, width=width, ready=f"document.querySelectorAll('.main-svg').length >= {n_figures}")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 500])
def test_many_lists_are_drawn_and_nothing_runs_that_should_not(browser: Browser, tmp_path: Path, width: int, dark: bool) -> None:
    opened(browser, written(tmp_path, list(LISTS), dark=dark), 6, width)
    assert browser.trouble() == []
    assert browser.text("h1") == f"4 lists of {HOSTILE}"
    assert browser.run("document.querySelectorAll('.plot-container').length") == 2 + len(LISTS)
    assert [HOSTILE in text for text in browser.texts("table tbody th")].count(True) >= 2
    background = browser.run("getComputedStyle(document.documentElement).backgroundColor")
    channels = [int(each) for each in background.strip("rgba()").split(",")[:3]]
    assert (max(channels) < 128) == dark or background == "rgba(0, 0, 0, 0)"


def test_two_lists_show_where_they_part_and_the_hover_tells_head_and_ranks(browser: Browser, tmp_path: Path) -> None:
    first, second = LISTS["c"], LISTS["d"]
    opened(browser, written(tmp_path, ["c", "d"]), 4)
    layer, head = first.heads[0]
    place = "#figure-2"  # behind the difference and the layers comes the first list's map
    browser.run(f"(Plotly.Fx.hover(document.querySelector('{place}'), {{xval: {head}, yval: {layer}}}, 'xy'), 1)")
    browser.wait(f"document.querySelector('{place} .hoverlayer').textContent")
    assert f"L{layer}H{head}" in browser.text(f"{place} .hoverlayer") and "rank 1" in browser.text(f"{place} .hoverlayer")
    shared = len(first.top(5) & second.top(5))
    assert f"{shared} of 5" in browser.texts("table tbody td")
    assert browser.trouble() == []
