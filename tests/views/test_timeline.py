import time
from collections.abc import Iterable
from fractions import Fraction

import numpy as np
import plotly.graph_objects as go
import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.heads import Head, HeadSet
from mechdyn.views import timeline
from tests.views.made_up import made_up, random_scores, subtitle


def cells(figure: go.Figure) -> go.Heatmap:
    return next(trace for trace in figure.data if trace.type == "heatmap")


def by_variance(scores: np.ndarray) -> list[str]:
    """Exact: variances of 0/1 scores as fractions."""
    n_steps, n_layers, n_heads = scores.shape

    def key(head: Head) -> tuple:
        share = Fraction(int(scores[:, head.layer, head.head].sum()), n_steps)
        return (-share * (1 - share), share == 0, head)

    return [str(head) for head in sorted((Head(layer, head) for layer in range(n_layers) for head in range(n_heads)), key=key)]


@pytest.mark.parametrize("seed", range(5))
def test_the_ten_most_varying_heads_ties_by_layer_and_head(seed: int) -> None:
    scores = random_scores(seed, rate=0.5)
    figure = timeline(made_up(scores))
    assert list(cells(figure).y) == by_variance(scores)[:10]


def test_planted_heads_come_first_and_cells_hold_their_scores() -> None:
    scores = np.zeros((8, 3, 4))
    scores[:4, 2, 1] = 1
    scores[3, 0, 3] = 1
    figure = timeline(made_up(scores), n=2)
    assert list(cells(figure).y) == ["L2H1", "L0H3"]
    np.testing.assert_array_equal(cells(figure).z, [[1, 1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0, 0, 0]])


def test_heads_that_are_nearly_always_on_stand_above_those_that_vary_and_the_title_says_so() -> None:
    scores = np.zeros((20, 2, 4))
    scores[:, 1, 2] = scores[1:, 1, 0] = scores[:18, 0, 3] = 1  # at all steps, at 95 %, at 90 %
    scores[:17, 0, 1] = 1  # at 85 %
    figure = timeline(made_up(scores), n=2)
    assert list(cells(figure).y) == ["L1H2", "L1H0", "L0H1", "L0H0"]
    assert subtitle(figure).startswith("2 of 3 heads on at 90% of the steps or more, then the 2 most varying heads; ")
    drawn = timeline(made_up(scores), n=3)
    assert list(cells(drawn).y)[:4] == ["L1H2", "L1H0", "L0H3", "L0H1"]
    assert subtitle(drawn).startswith("3 heads on at 90% of the steps or more, then the 3 most varying heads; ")


def test_a_legend_tells_the_two_colours_of_a_binary_score() -> None:
    def key(figure: go.Figure) -> dict[str, str]:
        return {each.name: each.marker.color for each in figure.data if each.type == "scatter" and each.marker.symbol == "square"}

    for threshold in (0.0, 0.5):
        drawn = timeline(made_up(random_scores(0), threshold=threshold))
        scale = drawn.layout.coloraxis.colorscale
        assert key(drawn) == {"retrieves": scale[-1][1], "does not retrieve": scale[0][1]}
    assert key(timeline(made_up(np.random.default_rng(0).random((4, 2, 2)), threshold=0.5))) == {}


def test_top_ranks_by_mean() -> None:
    scores = np.random.default_rng(3).random((7, 3, 4)).astype(np.float32)
    means = scores.mean(axis=0)
    wanted = sorted((Head(layer, head) for layer in range(3) for head in range(4)), key=lambda head: -means[head])
    assert list(cells(timeline(made_up(scores, threshold=0.5), heads="top", n=5)).y) == [str(head) for head in wanted[:5]]


@pytest.mark.parametrize("heads", [[Head(3, 1), Head(0, 2)], ((3, 1), (0, 2))])
def test_chosen_heads_keep_their_order(heads: Iterable[Head]) -> None:
    scores = random_scores(1)
    drawn = cells(timeline(made_up(scores), heads=heads))
    assert list(drawn.y) == ["L3H1", "L0H2"]
    np.testing.assert_array_equal(drawn.z, np.stack([scores[:, 3, 1], scores[:, 0, 2]]))


def test_all_and_head_sets() -> None:
    scores = random_scores(1, layers=2, heads=3)
    assert list(cells(timeline(made_up(scores), heads="all")).y) == ["L0H0", "L0H1", "L0H2", "L1H0", "L1H1", "L1H2"]
    assert list(cells(timeline(made_up(scores), heads=HeadSet.of([(1, 2), (0, 1)], 2, 3))).y) == ["L0H1", "L1H2"]
    assert len(cells(timeline(made_up(scores), n=100)).y) == 6


def test_hovers_say_head_step_token_score_and_whether_it_retrieves() -> None:
    scores = np.array([0.2, 0.5, 0.9]).reshape(3, 1, 1)
    drawn = cells(timeline(made_up(scores, texts=["<b>", "\n", " x"], threshold=0.5)))
    assert list(drawn.customdata[0]) == ["step 0 · &lt;b&gt;", "step 1 · ⏎", "step 2 · ·x"]
    assert list(drawn.text[0]) == ["no", "no", "yes"]
    for part in ("%{y}", "%{customdata}", "%{z", "%{text}"):
        assert part in drawn.hovertemplate


def test_tick_labels_are_the_tokens_safe_and_short_with_the_whole_text_in_the_hover() -> None:
    long = "y" * 2000
    figure = timeline(made_up(random_scores(0, steps=4), texts=["<br>a", "�", "$x$", long]))
    axis = figure.layout.xaxis2
    assert list(axis.tickvals) == [0, 1, 2, 3]
    assert list(axis.ticktext) == ["&lt;br&gt;a", "�", "&#36;x&#36;", "y" * 11 + "…"]
    assert cells(figure).customdata[0][3].replace("<br>", "").endswith(long)


def test_repeated_tokens_keep_their_own_columns() -> None:
    figure = timeline(made_up(random_scores(2, steps=5), texts=["-"] * 5))
    assert list(cells(figure).x) == [0, 1, 2, 3, 4]


def test_steps_without_a_retrieving_head_of_the_whole_model_are_marked() -> None:
    scores = np.zeros((5, 2, 2))
    scores[1, 1, 1] = scores[3, 0, 0] = scores[3, 0, 1] = 1
    figure = timeline(made_up(scores), heads=[Head(0, 0)])
    strip = next(trace for trace in figure.data if trace.type == "bar")
    silent = next(trace for trace in figure.data if trace.type == "scatter")
    assert list(strip.y) == [0, 1, 0, 2, 0]
    assert list(silent.x) == [0, 2, 4] and silent.showlegend
    assert not next(trace for trace in timeline(made_up(np.ones((2, 1, 1)))).data if trace.type == "scatter").showlegend


def test_the_title_names_model_task_and_how_many_heads_of_how_many() -> None:
    scores = np.zeros((3, 2, 4))
    scores[0, 0, :3] = 1
    title = timeline(made_up(scores), n=2).layout.title
    assert title.text == "mini · niah"
    assert timeline(made_up(scores), title="<mine>").layout.title.text == "&lt;mine&gt;"
    assert title.subtitle.text.replace("<br>", " ") == "the 2 most varying heads; 3 of 8 heads retrieve at some step"


def test_binary_scores_need_no_color_bar_and_continuous_ones_tick_the_threshold() -> None:
    assert not timeline(made_up(random_scores(0))).layout.coloraxis.showscale
    axis = timeline(made_up(np.random.default_rng(0).random((4, 2, 2)), threshold=0.5)).layout.coloraxis
    assert axis.showscale and list(axis.colorbar.tickvals) == [0, 0.5, 1]


def test_an_ablated_run_says_so_and_marks_its_heads() -> None:
    ablated = torch.zeros(3, 1, 2, dtype=torch.bool)
    ablated[1, 0, 1] = True
    figure = timeline(made_up(np.ones((3, 1, 2)), ablated=ablated), heads="all")
    assert [list(row) for row in cells(figure).text] == [["yes"] * 3, ["yes", "yes, ablated", "yes"]]
    assert "ablated run" in subtitle(figure)


def test_dark_uses_the_dark_template() -> None:
    trace = made_up(random_scores(0))
    light, dark = timeline(trace), timeline(trace, dark=True)
    assert light.layout.template.layout.paper_bgcolor == "#FFFFFF" != dark.layout.template.layout.paper_bgcolor


def test_500_steps_of_1024_heads_take_under_a_second_and_labels_thin_out() -> None:
    trace = made_up(random_scores(0, 500, 32, 32, 0.02))
    timeline(made_up(random_scores(0)))
    for heads in ("varying", "all"):
        start = time.process_time()
        figure = timeline(trace, heads=heads)
        assert time.process_time() - start < 1
    assert len(figure.layout.xaxis2.tickvals) <= 80
    assert figure.layout.height < 1300
    assert len(figure.to_json()) < 8_000_000
    assert cells(figure).customdata[7].tolist() == list(range(500)) and "%{customdata}" in cells(figure).hovertemplate


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"heads": "best"}, "heads must be 'varying', 'top', 'all' or a list of heads, got 'best'"),
        ({"heads": []}, "needs at least one head, got none"),
        ({"heads": [Head(9, 0)]}, "head L9H0 is outside a model of 4 layers x 8 heads"),
        ({"n": 0}, "n must be at least 1, got 0"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(arguments: dict, message: str) -> None:
    with pytest.raises(InputError) as caught:
        timeline(made_up(random_scores(0)), **arguments)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_trace_without_steps_is_refused() -> None:
    with pytest.raises(InputError, match="at least one generated token, the trace has none"):
        timeline(made_up(np.zeros((0, 2, 2)), texts=()))
