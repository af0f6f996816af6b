"""Places, kinds and what goes with switching a head off, on traces made up by hand."""

import numpy as np
import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.stats.means import mean_interval, paired_difference
from mechdyn.studies.head_activity import (
    KINDS,
    PairedAnswers,
    activity_of,
    all_switched_off,
    heads_off,
    needle_places,
    places_are_known,
    switched_off,
    token_kind,
    tokens_in_needle,
)
from tests.views.made_up import made_up, random_scores


def test_a_token_stands_where_the_needle_has_it() -> None:
    """The needle is 7 8 9 8; 8 stands there twice and is told by the step before."""
    trace = made_up(
        np.zeros((6, 1, 2)),
        prompt_tokens=torch.tensor([1, 7, 8, 9, 8, 2]),
        needle_positions=torch.tensor([1, 2, 3, 4]),
        tokens=torch.tensor([8, 7, 8, 9, 8, 5]),
    )
    np.testing.assert_array_equal(needle_places(trace), [np.nan, 0.0, 0.25, 0.5, 0.75, np.nan])
    assert tokens_in_needle(trace).tolist() == [True, True, True, True, True, False]


def test_places_are_known_only_where_every_retrieved_token_is_the_needles() -> None:
    scores = np.zeros((2, 1, 2))
    scores[0, 0, 0] = 1
    inside = np.array([True, False])
    activity = activity_of(made_up(scores))
    assert places_are_known([activity], [inside]) and not places_are_known([activity], [~inside])


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (" harbour", "word"), ("Old", "word"), ("bour", "inside a word"), ("42", "number"), (" 7", "number"), ("f0", "letters and digits"),
        ("-", "punctuation"), (" …", "punctuation"), ("\n", "white space"), ("", "white space"), ("\ufffd", "other"), ("'s", "other"),
    ],
)  # fmt: skip
def test_kinds_of_tokens(text: str, kind: str) -> None:
    assert token_kind(text) == kind and kind in KINDS


def test_heads_off_are_counted_with_the_others() -> None:
    off = torch.zeros(3, 1, 4, dtype=torch.bool)
    off[0, 0, [0, 1]] = True
    off[1, 0, [0, 1, 2]] = True
    found, others = heads_off(made_up(random_scores(0, 3, 1, 4), ablated=off))
    assert found.tolist() == [True, True, True, False] and others.tolist() == [1.5, 1.5, 2.0, 0.0]
    assert not heads_off(made_up(random_scores(0, 3, 1, 4)))[0].any()


def test_a_heads_ablation_is_that_of_the_samples_in_which_it_was_off() -> None:
    rng = np.random.default_rng(0)
    off = rng.random((20, 3)) < 0.6
    off[:, 2] = False
    right, clean, clusters = rng.random(20) < 0.4, rng.random(20) < 0.9, np.arange(20) // 2
    answers = {"dynamic": PairedAnswers(off, np.where(off, 4.0, 0.0), right, clean, clusters)}
    there = off[:, 0]
    (found,) = switched_off(answers, 0)
    assert found.difference == paired_difference(right[there].astype(float), clean[there].astype(float), clusters[there])
    assert (found.clean, found.off) == tuple(mean_interval(each[there].astype(float), clusters[there]) for each in (clean, right))
    assert (found.condition, found.others) == ("dynamic", 4.0)
    assert switched_off(answers, 2) == []
    assert all_switched_off(answers, [0, 1, 2]) == {head: switched_off(answers, head) for head in range(3)}
    with pytest.raises(InputError, match="head must lie"):
        switched_off(answers, 3)
