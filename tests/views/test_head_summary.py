"""Heads over many samples as figures: shares and co-activation as counted by hand, each number where its head stands."""

import dataclasses

import numpy as np
import pytest

from mechdyn.errors import InputError
from mechdyn.heads import Head
from mechdyn.studies.head_summary import summary_of
from mechdyn.views import co_activation, head_shares, one_head
from tests.views.made_up import made_up, random_scores

LAYERS, HEADS = 3, 4


@pytest.fixture(scope="module")
def scores() -> list[np.ndarray]:
    seed = int(np.random.default_rng().integers(2**31))
    found = [random_scores(seed + sample, steps=7 + sample, layers=LAYERS, heads=HEADS, rate=0.4) for sample in range(5)]
    for each in found:
        each[:, 2, 3] = 0.0
    return found


@pytest.fixture(scope="module")
def summary(scores):
    traces = [dataclasses.replace(made_up(each), sample=str(sample)) for sample, each in enumerate(scores)]
    return summary_of({"clean": traces, "<b>half</b>": traces[:2]})


def test_each_cell_is_the_share_of_all_steps_at_which_the_head_retrieves(summary, scores) -> None:
    (cells,) = head_shares(summary).data
    assert np.allclose(cells.z, np.concatenate(scores).mean(axis=0)) and cells.z[2, 3] == 0
    assert cells.text[1, 2].startswith(f"{np.concatenate(scores)[:, 1, 2].mean():.3f} [")
    half = head_shares(summary, condition="<b>half</b>", dark=True)
    assert np.allclose(half.data[0].z, np.concatenate(scores[:2]).mean(axis=0))
    assert "&lt;b&gt;half" in half.layout.title.subtitle.text and "15 steps" in half.layout.title.subtitle.text.replace("<br>", " ")


def test_above_the_diagonal_is_the_jaccard_of_two_heads_and_below_it_what_chance_gives(summary, scores) -> None:
    (cells,) = co_activation(summary).data
    steps = np.concatenate(scores).astype(bool)
    names = list(cells.x)
    assert list(cells.y) == names == sorted(names) and "L2H3" not in names
    for row, one in enumerate(map(Head.parse, names)):
        for column, other in enumerate(map(Head.parse, names)):
            first, second = steps[:, one.layer, one.head], steps[:, other.layer, other.head]
            if row < column:
                assert cells.z[row, column] == pytest.approx((first & second).sum() / (first | second).sum())
                assert f"together {cells.z[row, column]:.3f} [" in cells.text[column, row]
                assert f"by chance {cells.z[column, row]:.3f}" in cells.text[row, column]
    assert np.isnan(np.diag(cells.z)).all()


def test_one_head_has_a_row_for_each_condition_place_and_kind_that_has_steps(summary, scores) -> None:
    figure = one_head(summary, Head(1, 0))
    rows, (points,) = figure.layout.yaxis.ticktext, figure.data
    assert rows[:2] == ("clean", "&lt;b&gt;half&lt;/b&gt;") and any(row.startswith("token: ") for row in rows)
    assert points.x[0] == pytest.approx(np.concatenate(scores)[:, 1, 0].mean())
    assert points.x[1] == pytest.approx(np.concatenate(scores[:2])[:, 1, 0].mean())
    assert all(step[2] > 0 for step in points.customdata)


def test_what_cannot_be_drawn_says_why(summary) -> None:
    with pytest.raises(InputError, match=r"counted under clean, <b>half</b>, got 'none'"):
        head_shares(summary, condition="none")
    with pytest.raises(InputError, match="3 layers of 4 heads, got L3H0"):
        one_head(summary, Head(3, 0))
    quiet = summary_of({"clean": [made_up(np.zeros((4, 2, 2)))]})
    with pytest.raises(InputError, match="two heads that retrieve"):
        co_activation(quiet)
    assert np.allclose(head_shares(quiet).data[0].z, 0.0)
    with pytest.raises(InputError, match="of one model"):
        summary_of({"clean": [made_up(np.zeros((4, 2, 2))), made_up(np.zeros((4, 3, 2)))]})
    with pytest.raises(InputError, match="a condition or more"):
        summary_of({"clean": []})
