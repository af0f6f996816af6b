import random

import numpy as np
import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.traces.trace import Trace
from mechdyn.views import compare
from mechdyn.views.compare import align
from tests.views.made_up import made_up, subtitle


def generated(*texts: str, **fields) -> Trace:
    scores = np.zeros((len(texts), 1, 4))
    for step in range(len(texts)):
        scores[step, 0, : step % 4] = 1
    return made_up(scores, texts=texts, **fields)


def test_the_same_generations_agree_throughout() -> None:
    figure = compare(generated("a", "b"), generated("a", "b"))
    assert subtitle(figure) == "the same 2 tokens"
    assert len(set(figure.data[0].cells.fill.color[0])) == 1


def test_the_parting_is_named_and_the_tail_aligned_again() -> None:
    figure = compare(generated("a", "b", "<c>", "d"), generated("a", "b", "x", "y", "d"))
    values = figure.data[0].cells["values"]
    assert list(values[0]) == ["0", "1", "2", "", "3"]
    assert list(values[1]) == ["a", "b", "&lt;c&gt;", "", "d"]
    assert list(values[2]) == ["0", "1", "2", "", "3"]
    assert list(values[4]) == ["a", "b", "x", "y", "d"]
    assert subtitle(figure) == "they part at step 2: “&lt;c&gt;” against “x”; 3 of 5 rows agree"
    fills = figure.data[0].cells.fill.color[0]
    assert [fill == fills[0] for fill in fills] == [True, True, False, False, True]


def test_a_generation_that_stops_early_parts_where_it_stops() -> None:
    assert "part at step 1: nothing against “b”" in compare(generated("a"), generated("a", "b")).layout.title.subtitle.text.replace(
        "<br>", " "
    )


@pytest.mark.parametrize("seed", range(5))
def test_an_alignment_holds_every_step_once_in_order(seed: int) -> None:
    rng = random.Random(seed)
    first, second = (tuple(rng.choices("abc", k=rng.randrange(30))) for _ in range(2))
    pairs = align(first, second)
    assert [pair.first for pair in pairs if pair.first is not None] == list(range(len(first)))
    assert [pair.second for pair in pairs if pair.second is not None] == list(range(len(second)))
    for pair in pairs:
        both = pair.first is not None and pair.second is not None
        assert not pair.same or (both and first[pair.first] == second[pair.second])


def test_names_tell_the_ablated_run() -> None:
    ablated = generated("a", ablated=torch.zeros(1, 1, 4, dtype=torch.bool))
    header = compare(generated("a"), ablated).data[0].header["values"]
    assert (header[1], header[4]) == ("<b>clean</b>", "<b>ablated</b>")
    assert compare(generated("a"), generated("a"), names=("x<", "y")).data[0].header["values"][1] == "<b>x&lt;</b>"


def test_different_questions_and_empty_generations_are_refused() -> None:
    with pytest.raises(InputError, match="two generations for one question"):
        compare(generated("a"), generated("a", question="Who?"))
    with pytest.raises(InputError, match="both traces have none"):
        compare(made_up(np.zeros((0, 1, 4)), texts=()), made_up(np.zeros((0, 1, 4)), texts=()))
