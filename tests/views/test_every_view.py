"""Every public view, in every way that it can be asked for: one form, no hostile text, nothing that a reader would miss."""

import inspect
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest

from experiments.gallery.examples import EXAMPLES, Made, made_trace
from mechdyn import views
from mechdyn.errors import InputError
from mechdyn.views import Explorer, Html, for_paper
from mechdyn.views.theme import DARK, LIGHT
from tests.browser import Browser, needs_browser
from tests.views.made_up import subtitle

HELPERS = {"Cells", "Curve", "Explorer", "Html", "embed_plotly", "for_paper", "save_page"}
"""Public names that draw nothing by themselves."""
DRAWN = sorted(EXAMPLES)
EVIL = "<img src=x onerror=alert(1)>"
HOSTILE = Made(texts=(EVIL, "</script><script>alert(1)</script>", "$x$", " שלום", "\n"), model=EVIL)
OF_TRACES = ("alarm", "attention", "compare", "explorer", "layer_head", "patterns", "timeline", "tokens")
OF_HEADS = ("timeline", "tokens", "patterns")
"""Views of which some heads are drawn: they take `heads`. The other ones draw one head, or all."""
DOCS = Path(__file__).parents[2] / "docs" / "views.md"


def test_every_public_view_has_an_example_and_a_place_in_the_documentation():
    assert sorted({*views.__all__} - HELPERS) == DRAWN
    told = set(re.findall(r"^## `([a-z_]+)`$", DOCS.read_text(encoding="utf-8"), re.MULTILINE))
    assert told == set(DRAWN), "docs/views.md is written by `make gallery`; run it after a view was added or removed"
    assert set(views.__all__) <= set(dir(views))


def test_every_picture_of_the_gallery_is_there():
    for place in re.findall(r"\]\((pictures/gallery/[^)]+)\)", DOCS.read_text(encoding="utf-8")):
        assert (DOCS.parent / place).is_file(), place


@pytest.mark.parametrize("name", DRAWN)
def test_every_view_takes_the_same_arguments_and_draws_both_themes(name):
    parameters = inspect.signature(getattr(views, name)).parameters
    for common in ("title", "dark"):
        assert parameters[common].kind is inspect.Parameter.KEYWORD_ONLY
    assert ("heads" in parameters) == (name in OF_HEADS) or name == "alarm"
    for dark in (False, True):
        drawn = EXAMPLES[name](Made(), title="A title & more", dark=dark)
        if isinstance(drawn, go.Figure):
            assert drawn.layout.template.layout.paper_bgcolor == (DARK if dark else LIGHT).background
            assert drawn.layout.title.text == "A title &amp; more"
            assert drawn.layout.meta["min_width"] >= 320 and drawn.layout.height >= 150
            for columns, width in ((1, 315), (2, 650)):
                assert for_paper(drawn, columns).layout.width == width
        else:
            assert isinstance(drawn, Html | Explorer)
            assert "A title &amp; more" in drawn.html
            assert (DARK if dark else LIGHT).background.lower() in drawn.html.lower()
            if isinstance(drawn, Html):
                assert drawn.html in for_paper(drawn).html and for_paper(drawn).scripts == drawn.scripts
            else:
                with pytest.raises(InputError, match="an Explorer is a page of its own"):
                    for_paper(drawn)


class Tags(HTMLParser):
    """The tags of HTML that are not inside a script."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize("name", DRAWN)
def test_hostile_text_becomes_no_tag(name):
    drawn = EXAMPLES[name](HOSTILE, title=EVIL)
    if isinstance(drawn, go.Figure):
        for text in strings(json.loads(drawn.to_json())):
            assert "<img" not in text and "<script" not in text, text
    else:
        tags = Tags(drawn.html).found
        assert not [tag for tag, attrs in tags if tag == "img" or "onerror" in attrs]
        scripts = re.findall(r"<script[^>]*>(.*?)</script>", drawn.html, re.DOTALL)
        assert not [script for script in scripts if script.startswith("alert(1)")]


def strings(value):
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from strings(inner)


@needs_browser
@pytest.mark.parametrize("dark", [False, True])
def test_a_page_of_all_views_runs_nothing_asks_for_nothing_and_never_scrolls_sideways(browser: Browser, tmp_path: Path, dark: bool):
    made = {name: EXAMPLES[name](HOSTILE, title=EVIL, dark=dark) for name in DRAWN if name != "explorer"}
    page = views.save_page(made, tmp_path / "all.html", EVIL, dark=dark)
    n_figures = sum(isinstance(drawn, go.Figure) for drawn in made.values())
    for width in (1280, 400):
        browser.open(page, width=width, dark=dark, ready=f"document.querySelectorAll('.plot-container').length === {n_figures}")
        assert browser.trouble() == []
        assert len(browser.texts(".gtitle")) == n_figures and all(text.startswith("<img src=x") for text in browser.texts(".gtitle"))
        cut = "[...document.querySelectorAll('.gtitle')].filter(title => title.getBoundingClientRect().width > innerWidth - 20).length"
        assert browser.run(cut) == 0


@pytest.mark.parametrize("name", OF_TRACES)
def test_a_view_of_a_trace_names_model_length_depth_and_seed(name):
    drawn = EXAMPLES[name](Made(prompt=1234))
    text = drawn.layout.title.text.replace("<br>", " · ") if isinstance(drawn, go.Figure) else drawn.html
    assert "made up · niah · 1,234 tokens, depth 0.5, seed 0" in text


@pytest.mark.parametrize("name", OF_TRACES)
@pytest.mark.parametrize("made", [Made(steps=43), Made(steps=1, prompt=20), Made(layers=32, heads=32, steps=4)], ids=["43", "one", "1,024"])
def test_long_short_and_wide_traces_are_drawn(name, made):
    drawn = EXAMPLES[name](made)
    if isinstance(drawn, go.Figure):
        assert all(for_paper(drawn, columns).layout.height for columns in (1, 2))


@pytest.mark.parametrize("name", OF_HEADS)
def test_heads_may_be_named_ranked_or_all(name):
    trace = made_trace(Made())
    for heads in ("varying", "top", "all", [(0, 0), (5, 0)]):
        assert getattr(views, name)(trace, heads=heads) is not None
    with pytest.raises(InputError, match="heads must be 'varying', 'top', 'all'"):
        getattr(views, name)(trace, heads="best")


def test_a_short_context_is_drawn_by_circuitsvis_and_a_long_one_is_not_and_both_say_so():
    short, long = (views.patterns(made_trace(Made(prompt=prompt)), n=2) for prompt in (40, 2000))
    assert isinstance(short, Html) and "drawn by circuitsvis" in short.html and len(short.scripts) == 1
    assert isinstance(long, go.Figure) and "2,013 tokens, too many for circuitsvis" in subtitle(long)


def test_a_map_of_patterns_holds_the_largest_weight_of_each_stretch():
    trace = made_trace(Made(prompt=2000))
    figure = views.patterns(trace, heads=[(0, 1)])
    weights = figure.data[0].customdata
    assert trace.sources is not None
    for step in range(trace.n_steps):
        assert np.nanmax(weights[step]) == pytest.approx(float(trace.sources.weights[step, 0, 1].max()))


def test_constant_heads_are_pinned_above_those_that_vary():
    figure = views.timeline(made_trace(Made()), n=3)
    assert next(row for row in figure.data if row.type == "heatmap").y[0] == "L5H0"
    assert "on at 90% of the steps or more" in subtitle(figure)
