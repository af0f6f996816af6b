import math

import numpy as np
import pytest

from mechdyn.errors import InputError
from mechdyn.heads import Head, RankedHeads
from mechdyn.studies.head_lists import compare_lists
from mechdyn.views.head_lists import layer_profiles, list_matrix
from mechdyn.views.head_maps import head_map, head_map_difference
from mechdyn.views.theme import score_scale
from tests.stats.test_head_lists import drawn
from tests.views.made_up import subtitle


def test_cells_fall_with_the_rank_and_say_it() -> None:
    ranked = drawn(1)
    figure = head_map(ranked, 7)
    z, texts = np.array(figure.data[0].z), figure.data[0].text
    assert [z[head] for head in ranked.heads] == sorted(z.flatten(), reverse=True)
    for place in (0, 6, 30):
        layer, head = ranked.heads[place]
        assert texts[layer][head] == f"<b>L{layer}H{head}</b><br>rank {place + 1}, score {ranked.scores[place]:.4g}"


@pytest.mark.parametrize("k", [1, 7, 47])
def test_exactly_the_first_k_are_above_the_jump_of_the_colours(k: int) -> None:
    ranked = drawn(2)
    figure = head_map(ranked, k)
    jump = next(place for place, color in figure.layout.coloraxis.colorscale[1:])
    assert (np.array(figure.data[0].z) > jump).sum() == k
    assert list(figure.layout.coloraxis.colorscale) == score_scale_of(jump)


def score_scale_of(jump: float) -> list[tuple[float, str]]:
    from mechdyn.views.theme import LIGHT

    return [tuple(each) for each in score_scale(LIGHT, 0.0, 1.0, jump)]


def test_heads_of_one_score_behind_the_first_look_alike_and_ties_are_told() -> None:
    heads = tuple(Head(0, head) for head in range(8))
    ranked = RankedHeads(heads, (1.0, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0), 1, 8)
    figure = head_map(ranked, 2)
    assert len(set(np.array(figure.data[0].z)[0, 3:])) == 1
    assert "1 of them score the same as 1 that are not" in subtitle(figure)


def test_heads_that_are_not_listed_are_blank() -> None:
    ranked = RankedHeads((Head(1, 1),), (math.nan,), 2, 2)
    figure = head_map(ranked)
    assert np.isnan(figure.data[0].z).sum() == 3 and figure.data[0].text[1][1].endswith("rank 1")
    assert figure.data[0].text[0][0].endswith("not in the list")
    with pytest.raises(InputError, match="k from 1, got 0"):
        head_map(ranked, 0)
    with pytest.raises(InputError, match="how many heads the model has, which this list does not say"):
        head_map(RankedHeads((Head(1, 1),), (1.0,)))


def test_a_difference_marks_what_is_shared_and_what_is_not() -> None:
    one, other = drawn(1), drawn(2)
    figure = head_map_difference({"a": one, "<b>": other}, 9)
    groups = {trace.name: set(zip(trace.y, trace.x, strict=True)) for trace in figure.data[1:]}
    tops = set(one.heads[:9]), set(other.heads[:9])
    shared = len(tops[0] & tops[1])
    assert groups == {
        f"in both ({shared})": tops[0] & tops[1],
        f"only in a ({9 - shared})": tops[0] - tops[1],
        f"only in &lt;b&gt; ({9 - shared})": tops[1] - tops[0],
    }
    assert figure.data[0].text[0][0].count("rank") == 2
    with pytest.raises(InputError, match="a difference is of two lists, got 1"):
        head_map_difference({"a": one})


@pytest.mark.parametrize("dark", [False, True])
def test_the_matrix_holds_every_jaccard_in_the_order_of_the_clusters(dark: bool) -> None:
    lists = {name: drawn(seed) for seed, name in enumerate(["a", "<b>", "c", "d"])}
    found = compare_lists(lists, 6)
    figure = list_matrix(found, dark=dark)
    order = list(found.clusters.order)
    np.testing.assert_array_equal(figure.data[0].z, found.jaccards[np.ix_(order, order)])
    names = list(lists)
    assert [*figure.layout.yaxis.ticktext] == [names[place].replace("<", "&lt;").replace(">", "&gt;") for place in order]
    assert len(figure.data[1].text) == 12, "the diagonal carries no number"
    assert "Jaccard" in figure.data[0].text[0][1] and "<b>c</b>" in "".join(figure.data[0].text[order.index(2)])


def test_layers_are_counted_for_each_list() -> None:
    lists = {str(seed): drawn(seed) for seed in range(2)}
    figure = layer_profiles(compare_lists(lists, 6))
    assert np.array(figure.data[0].z).sum(axis=1).tolist() == [6, 6]
    assert figure.data[0].z[0][lists["0"].heads[0].layer] >= 1
