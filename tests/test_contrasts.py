"""The contrasts of a step are what brute force over sets makes of the definitions."""

import random
from itertools import pairwise

import pytest
import torch

from mechdyn.contrasts import ACTIVE, NEITHER, OTHERS, OWN, STATIC, AgainstOthers, Contrast, DoseResponse, schedules_of
from mechdyn.errors import InputError
from mechdyn.heads import Head
from mechdyn.schedules import Dynamic, Observation

N_LAYERS, N_HEADS = 4, 6
EVERY = [Head(layer, head) for layer in range(N_LAYERS) for head in range(N_HEADS)]


def observation(seed, share=0.25, step=3):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(N_LAYERS, N_HEADS, generator=generator)
    active = torch.rand(N_LAYERS, N_HEADS, generator=generator) < share
    patterns = tuple(torch.rand(N_HEADS, 9, generator=generator) for _ in range(N_LAYERS))
    return Observation("a sample", step, scores.round(decimals=1), active, patterns)


def ranking(seed):
    return tuple(random.Random(seed).sample(EVERY, len(EVERY)))


def chosen(which, k, listed, seen, draw=0):
    return {Head(*pair) for pair in Contrast(which, k, listed, draw).heads(seen).nonzero().tolist()}


def layers(heads):
    return sorted(head.layer for head in heads)


@pytest.mark.parametrize("seed", range(20))
def test_the_three_sets_are_what_the_definitions_say(seed):
    seen, listed = observation(seed), ranking(seed)
    active = {Head(*pair) for pair in seen.active.nonzero().tolist()}
    static = set(listed[: len(active)])
    assert chosen(ACTIVE, None, listed, seen) == active
    n_reached = 0
    for k in range(1, 8):
        own, of_list, neither = (chosen(which, k, listed, seen) for which in (OWN, STATIC, NEITHER))
        assert len(own) == len(of_list) == len(neither) in (0, k)
        if own:
            n_reached += 1
            assert own <= active - static and of_list <= static - active and not neither & (active | static)
            assert layers(own) == layers(neither)
            assert of_list == set([head for head in listed if head in static - active][:k])
            first = Dynamic(top_k=len(active)).heads(seen)
            assert first.sum() == len(active)
            top = [head for head in ranked(seen) if head not in static][:k]
            assert own == set(top)
        elif n_reached == k - 1 and k <= len(active - static):
            # Where k is not reached though both differences are large enough, a layer lacks heads of neither.
            wanted = layers([head for head in ranked(seen) if head not in static][:k])
            free = layers(set(EVERY) - active - static)
            assert any(wanted.count(layer) > free.count(layer) for layer in wanted)
    assert n_reached >= 1 or not active - static or len(layers(set(EVERY) - active - static)) < len(EVERY)


def ranked(seen):
    """By score, then the row's largest weight, then index; by loops."""

    def key(head):
        return (-float(seen.scores[head]), -float(seen.patterns[head.layer][head.head].max()), head)

    return sorted((Head(*pair) for pair in seen.active.nonzero().tolist()), key=key)


def test_draws_differ_from_step_to_step_and_are_the_same_again():
    listed, seen = ranking(1), [observation(4, step=step) for step in range(12)]
    drawn = [chosen(NEITHER, 2, listed, each, draw) for each in seen for draw in range(5)]
    assert drawn == [chosen(NEITHER, 2, listed, each, draw) for each in seen for draw in range(5)]
    assert len({frozenset(heads) for heads in drawn}) > 10


def test_larger_sets_hold_the_smaller_ones():
    seen, listed = observation(4), ranking(1)
    for which in (OWN, STATIC, NEITHER):
        sets = [heads for k in range(1, 8) if (heads := chosen(which, k, listed, seen))]
        assert len(sets) > 1 and all(small < large for small, large in pairwise(sets))


def test_others_match_all_of_the_steps_heads_layer_by_layer():
    seen = observation(5)
    active = {Head(*pair) for pair in seen.active.nonzero().tolist()}
    drawn = chosen(OTHERS, None, (), seen)
    assert drawn and layers(drawn) == layers(active) and not drawn & active
    assert not chosen(OTHERS, None, (), observation(6, share=0.9))


@pytest.mark.parametrize("family", [DoseResponse(ranking(2), (1, 2, 4), n_draws=3, seed=5), AgainstOthers(n_draws=2, seed=1)])
def test_a_family_is_made_again_from_its_json(family):
    again = schedules_of(family.as_json(), N_LAYERS, N_HEADS)
    assert again == family.schedules
    seen = observation(7)
    assert all(torch.equal(again[name].heads(seen), schedule.heads(seen)) for name, schedule in family.schedules.items())


def test_a_family_names_every_set():
    names = list(DoseResponse(ranking(2), (1, 2), n_draws=2).schedules)
    assert names == [ACTIVE, "own 1", "static 1", "neither 1 #0", "neither 1 #1", "own 2", "static 2", "neither 2 #0", "neither 2 #1"]


def test_sets_of_ones_own_are_named_by_their_schedules():
    found = schedules_of({"kind": "sets", "sets": {"all": {"kind": "dynamic", "top_k": None}}}, N_LAYERS, N_HEADS)
    assert found == {"all": Dynamic()}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"kind": "nothing"}, "the sets of an effect are dose-response, against-others or sets, got 'nothing'"),
        ({"kind": "dose-response"}, "the sets of an effect are written as their as_json gives them"),
        ({"kind": "sets", "sets": {"a": {"kind": "unknown"}}}, "unknown schedule 'unknown'"),
    ],
)
def test_bad_sets_are_refused(content, message):
    with pytest.raises(InputError, match=message):
        schedules_of(content, N_LAYERS, N_HEADS)


def test_bad_contrasts_are_refused():
    with pytest.raises(InputError, match="a contrast is of one of own, static, neither, active, others, got 'mine'"):
        Contrast("mine", 1, ())
    with pytest.raises(InputError, match=r"a contrast takes k = 1 head or more, or all \(None\), got 0"):
        Contrast(OWN, 0, ())
    with pytest.raises(InputError, match="head L9H0 is outside a model of 4 layers x 6 heads"):
        Contrast(OWN, 1, (Head(9, 0),)).check(N_LAYERS, N_HEADS)
