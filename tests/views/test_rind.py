import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mechdyn.errors import InputError
from mechdyn.rag.rind import Rind, WordValue
from mechdyn.rag.words import Sentence
from mechdyn.views import rind, save_page
from tests.browser import Browser, needs_browser
from tests.views.test_theme import contrast

TEXTS = (" <script>alert(1)</script>", " \"quotes'", " &lt;", "\n\nשלום", "  \u202eevil", " x" + "z" * 2000, " it", "")
VALUES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 9.0, 0.25)


def made_up(threshold: float = 1.0) -> Rind:
    """Two sentences; the word "it" has the largest value and no content."""
    words = tuple(
        WordValue(text, index, index + 1, 0.1 * index, 0.5, value, text != " it", int(index > 3))
        for index, (text, value) in enumerate(zip(TEXTS, VALUES, strict=True))
    )
    sentences = (Sentence("".join(TEXTS[:4]), 0, 1, 0, 4), Sentence("".join(TEXTS[4:]), 1, 2, 4, 8))
    flagged = tuple(index for index in (0, 1) if any(w.content and w.value > threshold and w.sentence == index for w in words))
    return Rind(words, sentences, flagged, threshold, "code")


class Elements(HTMLParser):
    """Every element's tag, attributes and own text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[dict] = []
        self.all: list[dict] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = {"tag": tag, "text": "", **dict(attrs)}
        self.all.append(element)
        if tag != "br":
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.open[-1]["text"] += data

    def of(self, name: str) -> list[dict]:
        return [element for element in self.all if name in (element.get("class") or "").split()]


def hexes(style: str) -> tuple[str, str]:
    background, ink = re.fullmatch(r"background:rgb\((.*)\);color:(#.*)", style).groups()
    return "#" + "".join(f"{int(part):02X}" for part in background.split(",")), ink


@pytest.mark.parametrize("dark", [False, True])
def test_every_word_shows_its_text_and_its_numbers(dark: bool) -> None:
    elements = Elements(rind(made_up(), dark=dark).html)
    assert elements.open == []
    words = elements.of("word")
    assert [word["text"] for word in words] == [
        "<script>alert(1)</script>",
        "\"quotes'",
        "&lt;",
        "שלום",
        "<U+202E>evil",
        "x" + "z" * 2000,
        "it",
        "∅",
    ]
    assert words[3]["data-numbers"] == "שלום · content word\nvalue 1.5 (threshold 1)\nattention 0.3 · entropy 0.5 nats"
    assert "no content word, never flags\nvalue 9 " in words[6]["data-numbers"]


def test_colours_are_grey_up_to_the_threshold_and_blue_above_and_can_be_read() -> None:
    words = Elements(rind(made_up()).html).of("word")
    painted = [hexes(word["style"]) for word in words if "style" in word]
    assert len(painted) == 7 and "style" not in words[6]
    blueness = [int(color[5:7], 16) - int(color[1:3], 16) for color, _ in painted]
    assert max(blueness[:3]) < 20 and min(blueness[3:6]) > 40
    assert min(contrast(color, ink) for color, ink in painted) >= 4.5
    assert [word["class"] for word in words] == ["word"] * 3 + ["word over"] * 3 + ["word idle"] + ["word"]


def test_flagged_sentences_say_so() -> None:
    elements = Elements(rind(made_up(1.5)).html)
    assert [row["class"] for row in elements.of("row")] == ["row", "row flag"]
    assert [mark["text"] for mark in elements.of("mark")] == ["1", "2 ⚑ flagged"]
    assert "1 of 2 sentences flagged, rewritten from sentence 2 on" in elements.of("small")[0]["text"]


@pytest.mark.parametrize("threshold", [5.0, float("inf")])
def test_nothing_is_above_a_high_threshold(threshold: float) -> None:
    elements = Elements(rind(made_up(threshold)).html)
    assert elements.of("over") == [] and elements.of("flag") == []
    assert "0 of 2 sentences flagged, no retrieval" in elements.of("small")[0]["text"]
    colors = [hexes(word["style"])[0] for word in elements.of("word") if "style" in word]
    assert all(int(color[5:7], 16) - int(color[1:3], 16) < 20 for color in colors)


def test_the_table_holds_all_values() -> None:
    cells = [element["text"] for element in Elements(rind(made_up()).html).all if element["tag"] == "td"]
    assert len(cells) == 6 * len(TEXTS)
    assert cells[6 * 4 : 6 * 5] == ["<U+202E>evil", "2", "yes", "0.4", "0.5", "2"]


def test_no_script_and_nothing_from_elsewhere() -> None:
    html = rind(made_up()).html
    assert "<script" not in html and "http" not in html and "url(" not in html
    assert "<script>" in unescape(html)


def test_a_draft_of_zero_values_is_drawn() -> None:
    idle = made_up(0.0)
    idle = replace(idle, words=tuple(replace(word, value=0.0) for word in idle.words), flagged=())
    assert len(Elements(rind(idle).html).of("word")) == len(TEXTS)


def test_a_draft_without_words_is_refused() -> None:
    with pytest.raises(InputError, match="the draft has no word to show"):
        rind(Rind((), (), (), 1.0, "code"))


@needs_browser
def test_in_a_browser_a_word_in_focus_shows_its_numbers_and_nothing_runs(browser: Browser, tmp_path: Path) -> None:
    browser.open(save_page({"light": rind(made_up()), "dark": rind(made_up(), dark=True)}, tmp_path / "page.html", "t"), width=500)
    browser.run("document.querySelector('.word').focus()")
    assert browser.trouble() == []
    assert browser.texts(".word")[:2] == ["<script>alert(1)</script>", "\"quotes'"]
    readouts = "[...document.querySelectorAll('.word')].map(word => getComputedStyle(word, '::after')).map(it => [it.display, it.content])"
    focused, other = browser.run(readouts)[:2]
    assert focused[0] == "block" and "value 0 (threshold 1)" in focused[1]
    assert other[0] == "none"
    boxes = browser.run("[...document.querySelectorAll('.word')].map(word => getComputedStyle(word).backgroundColor)")
    assert boxes[0] != boxes[5]
