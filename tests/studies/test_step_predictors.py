"""Kinds of tokens, and which of the needle's tokens a step repeats."""

from dataclasses import replace

import pytest
import torch

from mechdyn.studies.step_predictors import copied_places, step_predictors, token_kind
from tests.studies.made_up import made_up


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("7", "digit"),
        ("190", "digit"),
        ("be", "hex letter"),
        (" be", "word"),
        ("magic", "word"),
        ("Ā", "word"),
        ("-", "hyphen"),
        ("7f", "letters and digits"),
        (" The", "word"),
        (".", "punctuation"),
        ('."', "punctuation"),
        ("\n", "space"),
        ("", "other"),
        ("<|end_3|>", "other"),
    ],
)
def test_kinds_of_tokens(text, kind):
    assert token_kind(text) == kind


def test_repeated_needle_tokens_are_found():
    prompt, answer = torch.tensor([9, 1, 2, 3, 4, 5, 8]), torch.tensor([7, 3, 4, 5, 6, 6, 6, 6])
    trace = replace(made_up(0), prompt_tokens=prompt, needle_positions=torch.arange(1, 6), tokens=answer)
    assert copied_places(trace) == [-1, 2, 3, 4, -1, -1, -1, -1]
    predictors = step_predictors([trace])
    assert list(predictors) == ["kind of token", "token", "place", "step", "depth", "distance", "hidden state"]
    assert predictors["place"].columns.shape == (8, 4)
    distance = predictors["distance"].columns[:, 0]
    assert distance[1:4] == pytest.approx(distance[1])
    assert (distance[4:] > distance[1]).all()


def test_without_a_needle_there_is_neither_depth_nor_distance():
    trace = replace(made_up(0), needle_positions=torch.arange(0))
    assert list(step_predictors([trace])) == ["kind of token", "token", "place", "step", "hidden state"]
