"""The answer in colour: every token once, the wrong one marked, numbers as the backing has them, nothing that runs."""

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.heads import Head
from mechdyn.studies.alarm import WeightedHeads
from mechdyn.traces.backing import Backing
from mechdyn.traces.trace import Trace
from mechdyn.views import alarm, save_page
from tests.browser import Browser, needs_browser
from tests.views.made_up import made_up
from tests.views.test_rind import Elements
from tests.views.test_theme import contrast

HEADS = (Head(0, 0), Head(0, 2))
MASS = torch.tensor([[0.0, 0.0], [0.5, 0.1], [0.4, 0.2], [0.0, 0.1], [0.9, 0.9]])


def answered(texts: tuple[str, ...] = ("The word is", " 12", "ab", "<b>&9", "77"), answer: str = "12ab34cd") -> Trace:
    scores = torch.zeros(5, 1, 3)
    scores[1] = 1.0
    numbers = torch.tensor([0.1, 0.2, 0.3, 1.5, 0.4])
    return made_up(scores, texts, answer=answer, backing=Backing(HEADS, numbers, 1 - numbers / 4, numbers / 9, MASS, MASS > 0.3))


def tokens_of(html: str) -> list[dict]:
    return [element for element in Elements(html).all if element.get("class", "").startswith("token")]


def numbers_of(element: dict) -> list[float]:
    return [float(number) for number in re.findall(r"(?:retrieval|entropy|max p) ([\d.]+)", unescape(element["data-numbers"]))]


@pytest.mark.parametrize("dark", [False, True])
def test_every_token_shows_its_text_and_its_numbers(dark: bool) -> None:
    trace = answered()
    heads = WeightedHeads(HEADS, (0.75, 0.25))
    found = tokens_of(alarm(trace, heads, dark=dark).html)
    assert [element["text"] for element in found] == ["The word is", "12", "ab", "<b>&9", "77"]
    assert [element["class"] for element in found] == ["token idle", "token", "token", "token wrong", "token idle"]
    for step, element in enumerate(found):
        retrieval = 0.75 * MASS[step, 0] + 0.25 * MASS[step, 1]
        expected = [retrieval, trace.backing.entropy[step], trace.backing.max_p[step]]
        assert numbers_of(element) == pytest.approx([float(value) for value in expected], abs=6e-4)
    for element in found:
        colors = re.search(r"background:rgb\(([\d,]+)\);color:(#\w+)", element.get("style") or "")
        if colors:
            background = "#" + "".join(f"{int(part):02X}" for part in colors[1].split(","))
            assert contrast(background, colors[2]) >= 4.5


def test_measures_are_those_that_the_trace_holds() -> None:
    trace = answered()
    labelled = tokens_of(alarm(trace, measure="labelled").html)
    assert [numbers_of(element)[0] for element in labelled] == [0, 1, 0, 0, 0]
    copies = tokens_of(alarm(trace, measure="copies").html)
    assert [numbers_of(element)[0] for element in copies] == [0, 0.5, 0.5, 0, 1]


def test_it_says_what_was_expected_and_where_it_goes_wrong() -> None:
    assert "✗ first wrong token at step 3" in alarm(answered()).html
    assert "every token of the value is right" in alarm(answered(("The word is", " 12", "ab", "34cd", "."))).html
    assert "<b>mine</b>" not in alarm(answered(), title="<b>mine</b>").html


def test_what_cannot_be_coloured_is_refused() -> None:
    with pytest.raises(InputError, match=r"trace the sample with backing="):
        alarm(replace(answered(), backing=None))
    with pytest.raises(InputError, match=r"trace the sample with backing="):
        alarm(answered(), WeightedHeads((Head(0, 1),), (1.0,)))
    with pytest.raises(InputError, match="one of deployable, labelled, copies"):
        alarm(answered(), measure="mass")
    with pytest.raises(InputError, match="above 0"):
        alarm(answered(), most=0.0)
    with pytest.raises(InputError, match="one Trace, got list"):
        alarm([answered()])  # type: ignore[arg-type]


@needs_browser
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (400, True)])
def test_in_a_browser_it_fits_and_nothing_runs(browser: Browser, tmp_path: Path, width: int, dark: bool) -> None:
    page = save_page({"one": alarm(answered(), dark=dark)}, tmp_path / "alarm.html", title="alarm", dark=dark)
    browser.open(page, width=width, dark=dark)
    assert browser.run("document.documentElement.scrollWidth") <= width
    browser.run("document.querySelector('.md-alarm .wrong').focus()")
    shown = browser.run("getComputedStyle(document.querySelector('.md-alarm .wrong'), '::after').display")
    assert shown == "block" and browser.trouble() == []
