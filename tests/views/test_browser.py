"""What a reader sees of the figures: a page of every kind in headless Chromium, without a network."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mechdyn.stats.interval import Interval
from mechdyn.traces.trace import Sources
from mechdyn.views import Cells, Html, attention, cca, compare, curves, grid, layer_head, progressive, save_page, timeline, tokens
from mechdyn.views.curves import Axis, Curve
from mechdyn.views.page import document, drawn, joined, save_text
from tests.browser import Browser, needs_browser
from tests.views.made_up import made_up

pytestmark = needs_browser
HOSTILE = ["<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>"]
TEXTS = [*HOSTILE, "\n", " שלום", "👩\u200d🚀", "\ud83d", "$x$", "z" * 2000]
READY = "document.querySelectorAll('.main-svg').length >= 8 && document.querySelectorAll('.colored-tokens').length == 2"
TIMELINE, LAYER_HEAD, ATTENTION, _, _, COMPARE, GRID, CURVES = range(8)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scores = np.zeros((8, 2, 2))
    scores[1, 1, 0] = scores[5, 1, 0] = scores[2, 0, 1] = 1
    positions = torch.tensor([20, 21, 12], dtype=torch.int32).expand(8, 2, 2, 3)
    sources = Sources(positions, torch.tensor([0.5, 0.25, 0.125]).half().expand(8, 2, 2, 3))
    prompt = [*(f" w{position}" for position in range(20)), *TEXTS, *(f" w{position}" for position in range(28, 40))]
    trace = made_up(scores, texts=TEXTS, sources=sources, prompt_texts=tuple(prompt))
    other = made_up(scores, texts=[TEXTS[0], *TEXTS[2:], "x"])
    cells = Cells((256, 512), (0.1, 0.9), np.array([[1.0, 0.25], [0.5, 0.0]]), np.array([[4, 4], [4, 2]]))
    ten = [Interval(0.5 + 0.04 * k, 0.45 + 0.04 * k, 0.55 + 0.04 * k, 20) for k in range(10)]
    figures = {
        "timeline": timeline(trace),
        "layer_head": layer_head(trace, 1),
        "attention": attention(trace, 1, (1, 0)),
        "tokens": tokens(trace),
        "context": tokens(trace, 1, (1, 0)),
        "compare": compare(trace, other),
        "grid": grid({HOSTILE[1]: cells, "b": cells}),
        "curves": curves([Curve(HOSTILE[0], range(10), ten)], x="x", y=Axis("y")),
        "cca": cca(range(10), {"top-1": ten}),
        "progressive": progressive(range(10), ten, ten),
    }
    return save_page(figures, tmp_path_factory.mktemp("page") / "page.html", HOSTILE[1])


@pytest.fixture
def opened(browser: Browser, page: Path) -> Browser:
    browser.open(page, width=500, ready=READY)
    return browser


def hover(browser: Browser, figure: int, x: float, y: float, subplot: str) -> str:
    """What a hover over a cell says."""
    place = f"#figure-{figure}"
    browser.run(f"(Plotly.Fx.hover(document.querySelector('{place}'), {{xval: {x}, yval: {y}}}, '{subplot}'), 1)")
    browser.wait(f"document.querySelector('{place} .hoverlayer').textContent")
    return browser.text(f"{place} .hoverlayer")


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_runs_that_should_not_nothing_is_loaded_and_the_page_does_not_scroll_sideways(
    browser: Browser, page: Path, width: int
) -> None:
    browser.open(page, width=width, ready=READY)
    assert browser.trouble() == []
    assert browser.run("document.querySelectorAll('.plot-container').length") == 8
    assert browser.text("h1") == HOSTILE[1]


def test_labels_show_the_tokens(opened: Browser) -> None:
    assert opened.texts(f"#figure-{TIMELINE} .y2tick text") == ["L1H1", "L0H0", "L0H1", "L1H0"]  # drawn upwards
    ticks = [tick.strip("\u2066\u2069") for tick in opened.texts(f"#figure-{TIMELINE} .x2tick text")]
    assert ticks == ["<img src=x …", "</script><s…", "⏎", "·שלום", "👩\u200d🚀", "�", "$x$", "z" * 11 + "…"]


def test_the_hover_tells_head_step_token_score_and_state(opened: Browser) -> None:
    shown = hover(opened, TIMELINE, 1, 0, "x2y2")
    for part in ("L1H0", "step 1 · </script><script>alert(1)</script>", "score 1, retrieves: yes"):
        assert part in shown


def test_the_layer_head_map_tells_each_head(opened: Browser) -> None:
    assert "L1H0" in hover(opened, LAYER_HEAD, 0, 1, "xy") and "retrieves: yes" in opened.text(f"#figure-{LAYER_HEAD} .hoverlayer")


def test_attention_shows_its_sources_in_order_with_the_text_around(opened: Browser) -> None:
    lines = [line.replace("\u2066", "").replace("\u2069", "") for line in opened.texts(f"#figure-{ATTENTION} .textpoint text")]
    assert [line.partition(" ")[0] for line in lines] == ["0.500", "0.250", "0.125"]
    assert "[<img src=x onerror=aler…]" in lines[0] and "[</script><script>alert(…]" in lines[1] and "[·w12]" in lines[2]
    assert opened.texts(f"#figure-{ATTENTION} .ytick text, #figure-{ATTENTION} .y2tick text")[-3:] == ["20", "21", "12"]


def test_circuitsvis_shows_the_tokens_as_text(opened: Browser) -> None:
    shown = [text.replace("\u2060", "").replace("\xa0", " ") for text in opened.texts(".colored-tokens > span")]
    tokens_shown = [*HOSTILE, " ", " שלום", "👩\u200d🚀", "�", "$x$", "z" * 2000]
    assert shown[: len(TEXTS)] == tokens_shown
    assert shown[len(TEXTS) :][20:28] == tokens_shown


def test_compare_aligns_both_generations(opened: Browser) -> None:
    cells = opened.texts(f"#figure-{COMPARE} .cell-text")
    assert "</script><scri…"[:12] in " ".join(cells) and "part at step 1" in opened.text(f"#figure-{COMPARE} .g-gtitle")


def test_the_grid_prints_its_values(opened: Browser) -> None:
    assert opened.texts(f"#figure-{GRID} .textpoint text")[:4] == ["1.00", "0.25", "0.50", "0.00"]
    assert HOSTILE[1] in opened.texts(f"#figure-{GRID} .annotation-text")


def test_a_narrow_page_scrolls_within_its_figures_by_keyboard(browser: Browser, page: Path) -> None:
    browser.open(page, width=400, ready=READY)
    view = "document.querySelector('#view-5 .view')"
    assert browser.run(f"{view}.scrollWidth > {view}.clientWidth && {view}.tabIndex === 0")
    browser.run(f"{view}.focus()")
    browser.press("right", "right")
    browser.wait(f"{view}.scrollLeft > 0")


def test_what_gets_past_escaping_still_does_not_run(browser: Browser, tmp_path: Path) -> None:
    """A tag, an attribute and a script put into the page as they stand, beside a figure whose own scripts run."""
    figure = drawn(0, layer_head(made_up(np.ones((1, 2, 2))), 0), dark=False)
    evil = Html(f"{HOSTILE[0]}<script>alert(1)</script><svg onload=alert(1)></svg><a id=link href='javascript:alert(1)'>x</a>")
    page = save_text(document(joined([figure, evil]), "t"), tmp_path / "page.html")
    browser.open(page, ready="document.querySelectorAll('.main-svg').length >= 1 && document.images.length === 1")
    browser.click("#link")
    browser.wait("window.seen.filter(line => line.startsWith('blocked script-src')).length >= 4")
    seen = browser.run("window.seen")
    assert not [line for line in seen if line.startswith("alert")]
    assert len([line for line in seen if line.startswith("blocked script-src")]) >= 4
