"""What a notebook is given to show, and that it shows without a network."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import plotly.io as pio
import pytest

from mechdyn.views import attention, compare, embed_plotly, explorer, timeline, tokens
from tests.browser import Browser, needs_browser
from tests.views.explorer.test_pack import with_sources
from tests.views.made_up import made_up, random_scores


@pytest.fixture
def embedded() -> Iterator[None]:
    before = pio.renderers.default
    embed_plotly()
    yield
    pio.renderers.default = before


def test_figures_carry_their_script_once_asked_to(embedded: None) -> None:
    figure = timeline(made_up(random_scores(0)))
    bundle = figure._repr_mimebundle_()
    assert set(bundle) == {"application/vnd.plotly.v1+json", "text/html"}
    assert len(bundle["text/html"]) > 3_000_000 and "<script src" not in bundle["text/html"] and "mathjax" not in bundle["text/html"][:2000]


@needs_browser
def test_outputs_of_a_notebook_show_without_a_network(embedded: None, browser: Browser, tmp_path: Path) -> None:
    trace = with_sources(texts=["<script>alert(1)</script>"] * 6)
    shown = [timeline(trace)._repr_mimebundle_()["text/html"], attention(trace, 0, (0, 0))._repr_mimebundle_()["text/html"]]
    shown += [compare(trace, trace)._repr_mimebundle_()["text/html"], tokens(trace)._repr_html_(), tokens(trace, 0, (0, 0))._repr_html_()]
    shown += [explorer(trace)._repr_html_()]
    page = tmp_path / "notebook.html"
    page.write_text("<!doctype html><meta charset=utf-8><link rel=icon href=data:,>" + "".join(f"<div>{output}</div>" for output in shown))
    browser.open(page, ready="document.querySelector('iframe').contentDocument.body.dataset.ready")
    assert browser.run("document.querySelectorAll('.plot-container').length") == 3
    assert browser.run("document.querySelectorAll('.colored-tokens').length") == 2
    assert browser.run("document.querySelector('iframe').contentDocument.querySelectorAll('.cell').length") == 36
    inside = "document.querySelector('iframe').contentDocument.querySelector('{}')"
    browser.run(inside.format("#generated .step") + ".click()")
    browser.run(inside.format("#forward") + ".click()")
    assert browser.run(inside.format("#where") + ".textContent") == "step 1 of 5"
    assert browser.trouble() == []


def test_the_explorer_of_a_trace_without_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one generated token"):
        explorer(made_up(np.zeros((0, 1, 1)), texts=()))
