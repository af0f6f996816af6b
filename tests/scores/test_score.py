"""Scores by name: every way to ask for one leads to the same score, and what is none is one line."""

import inspect
import json
from dataclasses import dataclass, field

import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.scores import score as module
from mechdyn.scores.copy_paste import copy_paste
from mechdyn.scores.reasoning import Reasoning
from mechdyn.scores.score import SCORES, StepContext, as_score, score, score_row

bare_as_score = inspect.unwrap(as_score)
"""Without the check of types that only tests make, as users call it."""


@pytest.fixture(autouse=True)
def own_names(monkeypatch):
    """What a test registers is gone behind it."""
    SCORES.names()
    monkeypatch.setattr(SCORES, "_things", dict(SCORES._things))
    monkeypatch.setattr(module, "_TRAITS", dict(module._TRAITS))


def needle_mass(pattern, context):
    return (pattern * context.needle[:, None]).sum(dim=-1)


@dataclass(frozen=True)
class Above:
    level: float = 0.5

    def __call__(self, pattern, context):
        return (pattern.amax(dim=-1) > self.level).float()


@pytest.mark.parametrize(
    "asked",
    ["reasoning:sink=2,local=0", {"name": "reasoning", "sink": 2, "local": 0}, Reasoning(2, 0), as_score(Reasoning(2, 0))],
    ids=["text", "mapping", "instance", "named"],
)
def test_every_way_to_ask_gives_one_score(asked):
    found = as_score(asked)
    assert found.score == Reasoning(sink=2, local=0)
    assert found.spec == {"name": "reasoning", "sink": 2, "local": 0} == found.short
    assert (found.name, found.threshold, found.binary) == ("reasoning", 0.5, False)


@pytest.mark.parametrize("asked", ["copy_paste", {"name": "copy_paste"}, copy_paste], ids=["text", "mapping", "function"])
def test_a_score_without_options_is_its_name_in_units(asked):
    found = as_score(asked)
    assert found.score is copy_paste
    assert (found.spec, found.short, found.threshold, found.binary) == ({"name": "copy_paste"}, "copy_paste", 0.0, True)


def test_options_left_out_take_their_defaults():
    complete = {"name": "reasoning", "sink": 4, "local": 32}
    assert as_score("reasoning").spec == complete == as_score("reasoning:local=32").spec == as_score(Reasoning()).spec
    assert as_score(as_score("reasoning").spec).score == Reasoning()


def test_a_registered_function_brings_threshold_and_name():
    score("needle-mass", threshold=0.2)(needle_mass)
    for asked in ("needle-mass", needle_mass):
        found = as_score(asked)
        assert (found.score, found.short, found.threshold, found.binary) == (needle_mass, "needle-mass", 0.2, False)
    assert score("needle-mass", threshold=0.3)(needle_mass) is needle_mass, "the same function again, as in a notebook"
    assert as_score(needle_mass).threshold == 0.3


def test_a_registered_class_has_options():
    score("above", binary=True)(Above)
    assert as_score("above:level=0.25").score == Above(0.25)
    assert as_score(Above(0.75)).spec == {"name": "above", "level": 0.75} and as_score("above").binary


def test_scores_that_nobody_registered_are_named_by_their_place():
    place = __name__
    assert as_score(needle_mass).spec == {"name": f"{place}.needle_mass"} and as_score(needle_mass).threshold == 0.0
    assert as_score(Above(0.1)).spec == {"name": f"{place}.Above", "level": 0.1}
    assert json.dumps(as_score(Above()).short) != json.dumps(as_score(Above(0.1)).short)


@dataclass(frozen=True)
class Weighted:
    weights: object = field(default_factory=lambda: torch.ones(2))

    def __call__(self, pattern, context):
        return pattern.sum(dim=-1)


WRONG = {
    "misspelt": ("copy", "unknown score 'copy'; give one of copy_paste, locos, mass, r2, reasoning, wu"),
    "no name": ({"sink": 4}, r"a score is written as \{'name': ..., option: value\}, got \{'sink': 4\}"),
    "unknown option": ("reasoning:window=3", r"'reasoning' does not take the options \{'window': 3\}: its options are sink, local"),
    "no options": ({"name": "copy_paste", "sink": 4}, r"'copy_paste' does not take the options \{'sink': 4\}: it has none"),
    "an option without a value": ("reasoning:sink", "options are written name:option=value"),
    "no text": ("", "a name is needed before the options"),
    "a class": (Reasoning, r"a score is wanted, got the class Reasoning; make one of it, such as Reasoning\(\)"),
    "a number": (3, "a score is a name, a mapping or a function of pattern and context, got int"),
    "a negative window": ("reasoning:sink=-1", "sink is a number of positions to leave out, 0 or more, got -1"),
    "options that are no JSON": (Weighted(), "the options of score '.*Weighted' must be JSON values"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_score_is_one_line(case):
    asked, message = WRONG[case]
    with pytest.raises(InputError, match=message) as caught:
        bare_as_score(asked)
    assert "\n" not in str(caught.value)


class Plain:
    def __call__(self, pattern, context):
        return pattern.sum(dim=-1)


@dataclass(frozen=True)
class NoCall:
    level: float = 0.5


@dataclass(frozen=True)
class Named:
    name: str = "x"

    def __call__(self, pattern, context):
        return pattern.sum(dim=-1)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Plain, "a score with options is a frozen dataclass, got the class Plain"),
        (dataclass(type("Melting", (Plain,), {})), "a score with options is a frozen dataclass, got the class Melting"),
        (NoCall, r"the score NoCall has no __call__\(self, pattern, context\)"),
        (Named, "has an option called 'name'"),
    ],
)
def test_what_cannot_be_registered(kind, message):
    with pytest.raises(InputError, match=message):
        score("mine")(kind)


def test_a_name_is_taken_once():
    with pytest.raises(InputError, match=r"the score 'copy_paste' is mechdyn.scores.copy_paste.copy_paste already"):
        score("copy_paste")(needle_mass)
    assert as_score("copy_paste").score is copy_paste


SHAPES = {
    "a head short": (lambda pattern, context: pattern[:, 1:].sum(dim=-1), r"a tensor of shape \(2, 4\)"),
    "one number": (lambda pattern, context: pattern.sum(), r"a tensor of shape \(\)"),
    "a list": (lambda pattern, context: pattern.sum(dim=-1).tolist(), "a list"),
}


@pytest.mark.parametrize("case", SHAPES)
def test_a_score_gives_a_number_for_each_row_and_head(case):
    function, came = SHAPES[case]
    context = StepContext(torch.zeros(2, 3).long(), torch.ones(2, 3).bool(), torch.ones(2, 3).bool(), torch.zeros(2).long())
    with pytest.raises(InputError, match=rf"the score '.*lambda.*' must return a tensor of rows x heads \(2 x 5\), got {came}"):
        as_score(function)(torch.rand(2, 5, 3), context)


def test_eq_1_by_hand_on_one_row():
    pattern = torch.tensor([[0.5, 0.1, 0.3, 0.1, 0.0], [0.1, 0.1, 0.6, 0.1, 0.1], [0.0, 0.9, 0.0, 0.0, 0.1]])
    for tokens, needle in (([7, 8, 7, 9, 8], [1, 2, 3]), (torch.tensor([7, 8, 7, 9, 8]), torch.tensor([1, 2, 3]))):
        assert score_row("copy_paste", pattern, tokens, needle, 7).tolist() == [0.0, 1.0, 0.0]
        assert score_row(copy_paste, pattern, tokens, needle, torch.tensor(8)).tolist() == [0.0, 0.0, 1.0]
    left = score_row("reasoning:sink=1,local=1", pattern, [7, 8, 7, 9, 8], [2], 7)
    torch.testing.assert_close(left, torch.tensor([0.3 / 0.5, 0.6 / 0.8, 0.0]))
    assert score_row("copy_paste", pattern, [7, 8, 7, 9, 8], [], 7).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("tokens", "needle", "message"),
    [
        ([], [], "the tokens of one row are a list of at least one token id"),
        (torch.tensor([[1, 2]]), [0], r"got a shape of \(1, 2\)"),
        ([1, 2], [2], r"needle positions lie between 0 and 1 \(the row has 2 tokens\), got 2"),
        ([1, 2], [-1], "got -1"),
        ([1, 2], [0], "the attention runs over 3 positions and there are 2 tokens"),
    ],
)
def test_a_row_that_does_not_fit_is_refused(tokens, needle, message):
    with pytest.raises(InputError, match=message):
        inspect.unwrap(score_row)("copy_paste", torch.rand(2, 3), tokens, needle, 1)
