import base64
import hashlib
import os
import re
from pathlib import Path

import numpy as np
import pytest

from mechdyn.errors import InputError
from mechdyn.views import Html, layer_head, save_page, timeline, tokens
from mechdyn.views.page import document, joined
from tests.views.made_up import made_up, random_scores

TRACE = made_up(random_scores(0))


def test_one_script_for_all_figures_and_nothing_from_outside(tmp_path: Path) -> None:
    text = save_page([timeline(TRACE), layer_head(TRACE, 1), tokens(TRACE)], tmp_path / "page.html", "Figures").read_text()
    assert text.count("* plotly.js v") == 1
    assert text.count("Plotly.newPlot(") >= 2
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=[\"']?https?:", text)
    assert "default-src 'none'" in text
    assert [f'id="figure-{index}"' in text for index in range(2)] == [True, True]


def test_titles_and_headings_are_escaped(tmp_path: Path) -> None:
    text = save_page({"<script>alert(2)</script>": timeline(TRACE)}, tmp_path / "page.html", "<script>alert(1)</script>").read_text()
    assert "<script>alert(" not in text
    assert "<h1>&lt;script&gt;alert(1)&lt;/script&gt;</h1>" in text and "<h2>&lt;script&gt;alert(2)" in text


def test_tokens_cannot_end_the_page_s_script(tmp_path: Path) -> None:
    trace = made_up(np.ones((1, 1, 1)), texts=["</script><script>alert(1)</script>"])
    text = save_page([timeline(trace), tokens(trace)], tmp_path / "page.html", "t").read_text()
    harmless = save_page([timeline(TRACE), tokens(TRACE)], tmp_path / "harmless.html", "t").read_text()
    assert "<script>alert(1)" not in text
    for tag in ("<script", "</script>"):
        assert text.count(tag) == harmless.count(tag)


def test_the_page_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "page.html"
    target.write_text("old")

    def fail(self: Path, other: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(
        InputError, match=r"cannot write the page to .*page.html: No space left on device; choose a file in a writable folder"
    ):
        save_page([timeline(TRACE)], target, "t")
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["page.html"]


def test_folders_are_made_and_an_older_page_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "page.html"
    save_page([timeline(TRACE)], target, "first")
    assert save_page([timeline(TRACE)], str(target), "second") == target
    assert "<h1>second</h1>" in target.read_text()
    assert os.listdir(target.parent) == ["page.html"]


def test_a_path_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as caught:
        save_page([timeline(TRACE)], tmp_path / "file" / "page.html", "t")
    assert "cannot write the page to" in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(InputError, match="at least one figure, got none"):
        save_page([], tmp_path / "page.html", "t")


def test_lone_surrogates_do_not_stop_the_page(tmp_path: Path) -> None:
    trace = made_up(np.ones((1, 1, 1)), texts=["\ud83d"], task="\ud83d")
    assert save_page([timeline(trace), tokens(trace)], tmp_path / "page.html", "t\ud83d").exists()


def test_the_policy_names_the_scripts_of_the_page_and_no_others(tmp_path: Path) -> None:
    """Recomputed from the bytes of the file, as a browser does."""
    content = save_page([timeline(TRACE), tokens(TRACE)], tmp_path / "page.html", "t").read_bytes()
    (policy,) = re.findall(rb'http-equiv="Content-Security-Policy" content="([^"]*)"', content)
    scripts = re.findall(rb"<script[^>]*>(.*?)</script>", content, re.DOTALL)
    hashes = {base64.b64encode(hashlib.sha256(script).digest()).decode() for script in scripts}
    assert len(hashes) >= 3
    assert set(re.findall("'sha256-([^']*)'", policy.decode())) == hashes
    allowed = re.findall(r"script-src ([^;]*)", policy.decode())[0]
    assert "unsafe-inline" not in allowed and "unsafe-eval" not in allowed.replace("wasm-unsafe-eval", "")


def test_a_page_without_a_script_allows_none() -> None:
    text = document(Html("<p>words</p>"), "t", plotly=False)
    assert "script-src 'none';" in text
    assert Html("<script>1</script>").scripts == () and joined([Html("a", ("1",)), Html("b", ("2",))]) == Html("a\nb", ("1", "2"))
