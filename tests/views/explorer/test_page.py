"""The page as Python writes it; what it does in a browser stands in test_browser.py."""

import re
from html import unescape
from pathlib import Path

from mechdyn.views import explorer
from mechdyn.views.theme import DARK, LIGHT
from tests.views.explorer.test_pack import with_sources

HOSTILE = "</script><script>alert(1)</script>"


def test_the_page_loads_nothing_and_what_is_written_into_it_is_escaped(tmp_path: Path) -> None:
    trace = with_sources(question=HOSTILE, answer=HOSTILE, texts=[HOSTILE] * 6, prompt_texts=(HOSTILE,) * 40)
    text = explorer(trace, title=HOSTILE).save(tmp_path / "a" / "page.html").read_text()
    assert text.count("<script") == text.count("</script>") == 2
    assert not re.findall(r"https?://|src=|@import|url\(", text)
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in text


def test_colours_come_from_the_theme() -> None:
    text = explorer(with_sources()).html
    for look in (LIGHT, DARK):
        assert all(color in text for color in (look.background, look.ink, look.accent, *look.scale, *look.below))


def test_a_single_trace_is_named_by_whether_it_was_ablated() -> None:
    page = explorer(with_sources())
    assert "<title>mini · niah</title>" in page.html
    assert re.fullmatch(r"Explorer\(0\.\d MB; \.save\(path\) writes it\)", repr(page))


def test_a_notebook_gets_a_frame_around_the_whole_page() -> None:
    page = explorer(with_sources())
    frame = page._repr_html_()
    assert unescape(re.findall(r'srcdoc="([^"]*)"', frame)[0]) == page.html
