import numpy as np
import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.views import layer_head
from tests.views.made_up import made_up, random_scores, subtitle


def test_the_cells_are_the_scores_of_the_step() -> None:
    scores = random_scores(4, steps=5, layers=3, heads=6, rate=0.5)
    drawn = layer_head(made_up(scores), 2).data[0]
    np.testing.assert_array_equal(drawn.z, scores[2])
    np.testing.assert_array_equal(drawn.text == "yes", scores[2] > 0)


def test_negative_steps_count_from_the_end_and_the_title_says_which() -> None:
    scores = random_scores(5, steps=4, layers=2, heads=2, rate=0.5)
    figure = layer_head(made_up(scores, texts=["a", "b", "c", "<d>"]), -1)
    np.testing.assert_array_equal(figure.data[0].z, scores[3])
    assert subtitle(figure) == f"step 3, generating “&lt;d&gt;”: {int(scores[3].sum())} of 4 heads retrieve"


def test_ablated_heads_are_framed() -> None:
    ablated = torch.zeros(2, 3, 4, dtype=torch.bool)
    ablated[1, 2, 0] = ablated[1, 0, 3] = True
    frame = layer_head(made_up(np.zeros((2, 3, 4)), ablated=ablated), 1).data[1]
    assert set(zip(frame.y, frame.x, strict=True)) == {(2, 0), (0, 3)}


def test_a_step_outside_the_trace_is_refused() -> None:
    with pytest.raises(InputError, match=r"step must lie in \[0, 3\]"):
        layer_head(made_up(random_scores(0, steps=4)), 4)


@pytest.mark.parametrize(("layers", "step"), [(2, 1), (16, 1), (17, 2), (40, 3)])
def test_layers_are_counted_in_whole_numbers(layers: int, step: int) -> None:
    axis = layer_head(made_up(np.zeros((1, layers, 4))), 0).layout.yaxis
    assert (axis.tick0, axis.dtick) == (0, step)


def test_marked_heads_carry_a_cross() -> None:
    scores = np.zeros((1, 2, 3))
    (crosses,) = [drawn for drawn in layer_head(made_up(scores), 0, marked=[(1, 2), (0, 0)]).data if drawn.name == "marked"]
    assert list(zip(crosses.y, crosses.x, strict=True)) == [(0, 0), (1, 2)]
    assert not [drawn for drawn in layer_head(made_up(scores), 0).data if drawn.name == "marked"]
    with pytest.raises(InputError, match="head L2H0 is outside a model of 2 layers x 3 heads"):
        layer_head(made_up(scores), 0, marked=[(2, 0)])
