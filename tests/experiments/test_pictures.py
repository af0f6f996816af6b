from pathlib import Path

import pytest

from experiments import pictures
from mechdyn.errors import InputError
from tests.browser import CHROMIUM


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_a_page_becomes_a_picture_of_its_size_unless_it_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><h1>A page</h1>")
    picture = pictures.screenshot(page, tmp_path / "page.png", width=320, height=200)
    content = picture.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert (int.from_bytes(content[16:20]), int.from_bytes(content[20:24])) == (320, 200)
    monkeypatch.setattr(pictures, "_MOST_BYTES", 100)
    with pytest.raises(InputError, match=r"page\.png has [\d,]+ bytes, pictures may have 100"):
        pictures.screenshot(page, tmp_path / "page.png")


def test_without_a_browser_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures.shutil, "which", lambda name: None)
    with pytest.raises(InputError, match="needs one of chromium, chromium-browser, google-chrome; install chromium"):
        pictures.screenshot(tmp_path / "page.html", tmp_path / "page.png")


def test_the_pictures_in_the_repository_are_small() -> None:
    found = list((Path(__file__).parents[2] / "docs" / "pictures").iterdir())
    assert found
    assert [picture.name for picture in found if picture.stat().st_size > pictures._MOST_BYTES] == []
