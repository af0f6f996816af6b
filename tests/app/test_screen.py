import numpy as np
import pytest

from mechdyn.app import screen
from mechdyn.app.job import Snapshot
from mechdyn.heads import Head
from tests.views.made_up import made_up, random_scores


@pytest.mark.parametrize(
    ("snapshot", "n_off", "line"),
    [
        (Snapshot("waiting"), 0, "Waiting for another generation to end."),
        (Snapshot("reading"), 2, "Without 2 heads. Reading the prompt."),
        (Snapshot("writing", made_up(np.zeros((3, 1, 1)))), 0, "Writing: 3 of at most 8 tokens, after a prompt of 40."),
        (
            Snapshot("measuring", made_up(np.zeros((3, 1, 1)))),
            2,
            "Without 2 heads. Written, and measuring what these heads do at each token of the first answer: "
            "3 of at most 8 tokens, after a prompt of 40.",
        ),
        (Snapshot("cancelled"), 0, "Cancelled: 0 of at most 8 tokens, after a prompt of 40."),
        (
            Snapshot("done", made_up(np.zeros((8, 1, 1)), stopped="length")),
            1,
            "Without 1 head. Done: 8 of at most 8 tokens, after a prompt of 40. It reached the limit.",
        ),
        (
            Snapshot("done", made_up(np.zeros((2, 1, 1)))),
            0,
            "Done: 2 of at most 8 tokens, after a prompt of 40. The model ended its answer.",
        ),
    ],
)
def test_the_status_says_how_far_it_is(snapshot: Snapshot, n_off: int, line: str) -> None:
    assert screen.status(snapshot, 40, 8, n_off) == line


def test_the_answer_shows_what_cannot_be_seen_and_keeps_lines() -> None:
    assert screen.answer(made_up(np.zeros((1, 1, 1)), text="<b>\u202e\nx")) == "<b><U+202E>\nx"
    assert screen.answer(None) == "(nothing yet)"


def test_a_click_on_a_timeline_cell_is_a_head_and_a_step_on_the_map_a_head() -> None:
    trace = made_up(random_scores(0))
    figure, _ = screen.draw_timeline(trace, "varying", False)
    (cells,) = [drawn for drawn in figure.data if drawn.type == "heatmap"]
    assert screen.clicked_cell({"points": [{"x": int(cells.x[3]), "y": cells.y[0], "z": 1}]}) == (Head.parse(cells.y[0]), 3)
    assert screen.clicked_cell({"points": [{"x": 5, "y": 2, "z": 0.0}]}) == (Head(2, 5), None)
    assert screen.clicked_cell({"points": [{"x": 5, "y": 7}]}) is None  # a bar of the strip
    assert screen.clicked_cell(None) is screen.clicked_cell({"points": []}) is None


def test_switching_again_takes_the_head_out_again() -> None:
    off = screen.toggled(["L10H0", "L2H1"], Head(2, 0))
    assert off == ["L2H0", "L2H1", "L10H0"]
    assert screen.toggled(off, Head(2, 0)) == ["L2H1", "L10H0"]


def test_the_button_says_what_it_does_to_the_head_that_is_looked_at() -> None:
    assert screen.switch(["L2H0"], "L2H0") == "Switch L2H0 on again"
    assert screen.switch(["L2H0"], "L2H1") == "Switch L2H1 off"
    assert screen.switch([], None) == "Switch this head off"


def test_figures_come_with_the_room_they_need() -> None:
    trace, ablated = made_up(random_scores(1)), made_up(random_scores(2))
    for figure, style in (
        screen.draw_timeline(trace, "all", True),
        screen.draw_map(trace, 99, ["L0H1"], False),
        screen.draw_comparison(trace, ablated, False),
    ):
        assert style["height"] == f"{figure.layout.height}px" and int(style["minWidth"].removesuffix("px")) >= 360
    map_, _ = screen.draw_map(trace, 99, ["L0H1"], False)
    assert "step 11" in map_.layout.title.subtitle.text  # the last there is
