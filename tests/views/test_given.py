"""What is no trace is refused in one line by every view, and every view that draws a trace takes the same arguments."""

import inspect
from typing import Any

import plotly.graph_objects as go
import pytest

from mechdyn import views
from mechdyn.errors import InputError
from mechdyn.tasks.sample import Sample
from mechdyn.views.facts import fact_timeline
from tests.views.made_up import made_up, random_scores

TRACE = made_up(random_scores(0))
VIEWS: dict[Any, tuple[Any, ...]] = {
    views.timeline: (),
    views.layer_head: (1,),
    views.attention: (1, (0, 0)),
    views.tokens: (),
    views.compare: (TRACE,),
    views.explorer: (),
    fact_timeline: (),
}


def name(view: Any) -> str:
    return view.__name__


@pytest.mark.parametrize("view", VIEWS, ids=name)
def test_a_list_of_traces_is_refused_in_one_line(view: Any) -> None:
    with pytest.raises(InputError) as caught:
        view([TRACE], *VIEWS[view])
    message = str(caught.value)
    assert message.startswith(f"{view.__name__} takes ") and message.endswith("got list; pass one of its traces, the first is [0]")
    assert "\n" not in message


@pytest.mark.parametrize("view", VIEWS, ids=name)
def test_anything_else_is_too_also_by_keyword(view: Any) -> None:
    first, *_ = inspect.signature(view).parameters
    with pytest.raises(InputError, match=r"got NoneType; md\.trace\(model, sample\) makes one"):
        view(**{first: None}, **dict(zip(list(inspect.signature(view).parameters)[1:], VIEWS[view], strict=False)))


def test_the_remedy_fits_what_was_given() -> None:
    sample = object.__new__(Sample)
    with pytest.raises(InputError, match=r"timeline takes one Trace, got Sample; trace the sample first: md\.trace\(model, sample\)"):
        views.timeline(sample)
    with pytest.raises(InputError, match="compare takes one Trace, got str; "):
        views.compare(TRACE, "mini")
    with pytest.raises(InputError, match="explorer, under 'b', takes a Trace, or traces by the name of their condition, got int"):
        views.explorer({"a": TRACE, "b": 1})


@pytest.mark.parametrize("view", [*VIEWS, views.grid, views.curves, views.rind, views.progressive, views.cca], ids=name)
def test_every_view_takes_a_title_and_a_background(view: Any) -> None:
    parameters = inspect.signature(view).parameters
    assert {parameters[each].kind for each in ("title", "dark")} == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("view", [views.timeline, views.layer_head, views.tokens, views.compare], ids=name)
def test_titles_stand_where_they_were_asked_for_escaped(view: Any) -> None:
    drawn = view(TRACE, *VIEWS[view], title="<b>mine", dark=True)
    shown = drawn.html if isinstance(drawn, views.Html) else drawn.layout.title.text
    assert "&lt;b&gt;mine" in shown and "<b>mine" not in shown


def test_what_is_no_plotly_figure_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"got Explorer; an Explorer is a page of its own: explorer\.save\(path\)"):
        views.save_page([views.timeline(TRACE), views.explorer(TRACE)], "never.html", "t")
    with pytest.raises(InputError, match=r"save_page takes a list of figures, or .* by their heading, got Figure; put it into a list"):
        views.save_page(views.timeline(TRACE), "never.html", "t")
    assert isinstance(views.for_paper(views.timeline(TRACE)), go.Figure)
