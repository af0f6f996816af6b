"""What a reader sees: the page in headless Chromium, without a network."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mechdyn.views import layer_head, save_page, timeline, tokens
from tests.views.made_up import made_up

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

TEXTS = ["<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>", "\n", " שלום", "👩\u200d🚀", "�", "$x$", "z" * 2000]
# Runs after the page's own scripts: hovers a cell, and leaves what the page did in its title.
PROBE = """<script>
window.seen = [];
window.alert = text => seen.push("alert " + text);
addEventListener("error", event => seen.push("error " + event.message));
addEventListener("securitypolicyviolation", event => seen.push("blocked " + event.blockedURI));
const texts = selector => [...document.querySelectorAll(selector)].map(node => node.textContent);
const report = () => {
  document.title = JSON.stringify({
    seen,
    ticks: texts("#figure-0 .x2tick text"),
    heads: texts("#figure-0 .y2tick text"),
    hover: texts("#figure-0 .hoverlayer"),
    tokens: texts(".colored-tokens > span"),
    drawn: document.querySelectorAll(".plot-container").length,
    resources: performance.getEntriesByType("resource").map(entry => entry.name),
    wide: document.documentElement.scrollWidth > innerWidth,
  });
};
addEventListener("load", () => setTimeout(() => {
  Plotly.Fx.hover(document.getElementById("figure-0"), {xval: 1, yval: 0}, "x2y2");
  setTimeout(report, 300);
}, 300));
</script>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> dict:
    scores = np.zeros((8, 2, 2))
    scores[1, 1, 0] = scores[5, 1, 0] = scores[2, 0, 1] = 1
    trace = made_up(scores, texts=TEXTS)
    path = save_page([timeline(trace), layer_head(trace, 1), tokens(trace)], tmp_path_factory.mktemp("page") / "page.html", "t")
    path.write_text(path.read_text().replace("<title>", PROBE + "<title>", 1))
    return look_at(path)


def look_at(path: Path) -> dict:
    assert CHROMIUM is not None
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=5000"]
    command = [CHROMIUM, *flags, "--window-size=500,900", f"--user-data-dir={path.parent / 'profile'}", "--dump-dom", path.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    return json.loads(html.unescape(re.findall(r"<title>(.*?)</title>", dom, re.DOTALL)[0]))


def test_nothing_runs_that_should_not_and_nothing_is_loaded(page: dict) -> None:
    assert page["seen"] == []
    assert page["resources"] == []
    assert page["drawn"] == 2


def test_labels_show_the_tokens(page: dict) -> None:
    assert page["heads"] == ["L1H1", "L0H0", "L0H1", "L1H0"]  # drawn upwards
    ticks = [tick.strip("\u2066\u2069") for tick in page["ticks"]]
    assert ticks == ["<img src=x …", "</script><s…", "⏎", "·שלום", "👩\u200d🚀", "�", "$x$", "z" * 11 + "…"]


def test_the_hover_tells_head_step_token_score_and_state(page: dict) -> None:
    (hover,) = page["hover"]
    for part in ("L1H0", "step 1 · </script><script>alert(1)</script>", "score 1, retrieves: yes"):
        assert part in hover


def test_circuitsvis_shows_the_tokens_as_text(page: dict) -> None:
    shown = [text.replace("\u2060", "").replace("\xa0", " ") for text in page["tokens"]]
    assert shown == [
        "<img src=x onerror=alert(1)>",
        "</script><script>alert(1)</script>",
        " ",
        " שלום",
        "👩\u200d🚀",
        "�",
        "$x$",
        "z" * 2000,
    ]


def test_a_narrow_page_does_not_scroll_sideways(page: dict) -> None:
    assert not page["wide"]
