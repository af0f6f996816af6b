"""Simulated worlds are what their rules say, and `judge` takes them as it takes a model's traces."""

from collections import defaultdict
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from mechdyn.claims.dynamism import Dynamism
from mechdyn.errors import InputError
from mechdyn.evidence import Outcome
from mechdyn.studies.world_rules import Drifting, Flicker, Keyed, Nested, OneOf, Scene, Shape, Sizes
from mechdyn.studies.worlds import WORLDS, Noise, SimulatedWorld, Truth, request_for, simulate
from mechdyn.tasks.task import is_correct

CLEAN = Noise(1.0, 0.0)
SHAPE = Shape(n_layers=3, n_heads=5, n_steps=8, n_tokens=6)
ROLES = {"detection", "evaluation", "retest"}


def clean(rule, **options):
    return SimulatedWorld("made up", Truth.FIXED, rule, CLEAN, shape=SHAPE, **options)


def flat(trace):
    return [frozenset(step.flatten().nonzero().flatten().tolist()) for step in trace.active]


def sets_by(traces, key):
    """The different sets that occur under each key."""
    found = defaultdict(set)
    for trace in traces:
        for step, heads in enumerate(flat(trace)):
            found[key(trace, step)].add(heads)
    return found


KEYS = {
    "always": lambda trace, step: 0,
    "token": lambda trace, step: int(trace.tokens[step]),
    "step": lambda trace, step: step,
    "needle": lambda trace, step: trace.answer,
    "haystack": lambda trace, step: trace.meta["seed"],
    "place": lambda trace, step: (trace.answer, step),
    "moment": lambda trace, step: (trace.meta["seed"], step),
}


@pytest.mark.parametrize("by", KEYS)
def test_heads_go_by_their_key_and_by_nothing_else(by):
    roles = simulate(clean(Keyed(by, Sizes(4.0, 1.0))), 20, seed=3)
    traces = [trace for row in roles.values() for trace in row]
    assert all(len(sets) == 1 for sets in sets_by(traces, KEYS[by]).values())
    coarser = {"token": "step", "step": "token", "place": "needle", "moment": "haystack", "needle": "always", "haystack": "needle"}
    if by in coarser:
        assert any(len(sets) > 1 for sets in sets_by(traces, KEYS[coarser[by]]).values())


def test_a_drift_exchanges_the_oldest_heads_step_by_step():
    roles = simulate(clean(Drifting(size=4, exchanged=0.5)), 6, seed=3)
    (by_step,) = {tuple(flat(trace)) for row in roles.values() for trace in row}
    assert {len(heads) for heads in by_step} == {4}
    assert [len(one - other) for one, other in pairwise(by_step)] == [0, 1, 0, 1, 0, 1, 0]
    assert len(frozenset.union(*by_step)) == 4 + 3


@pytest.mark.parametrize("by", ["needle", "step", "haystack"])
def test_one_of_a_few_lists_is_chosen_by_its_key(by):
    roles = simulate(clean(OneOf(by, n_lists=3, size=5)), 20, seed=3)
    traces = [trace for row in roles.values() for trace in row]
    found = sets_by(traces, KEYS[by])
    assert all(len(sets) == 1 for sets in found.values())
    assert {len(heads) for sets in found.values() for heads in sets} == {5} and len(set().union(*found.values())) == 3


def test_a_flicker_of_layers_has_all_heads_of_a_layer_on_or_none():
    traces = simulate(clean(Flicker(pool=10, by_layer=True)), 20, seed=3)["evaluation"]
    on = torch.cat([trace.active for trace in traces]).float().mean(dim=2)
    assert set(on.unique().tolist()) == {0.0, 1.0}
    shares = sorted(on.mean(dim=0).tolist())
    assert shares[0] == 0.0 and 0.4 < shares[1] < 0.8


def test_nested_sets_are_the_first_of_one_ranking():
    traces = simulate(clean(Nested("moment", Sizes(5.0, 3.0))), 10)["evaluation"]
    sets = sorted({heads for trace in traces for heads in flat(trace)}, key=len)
    assert len(sets) > 5 and all(smaller < larger for smaller, larger in pairwise(sets))
    each = simulate(clean(Nested("moment", Sizes(5.0, 3.0), ranking="needle")), 10)["evaluation"]
    for trace in each:
        assert all(smaller <= larger for smaller, larger in pairwise(sorted(flat(trace), key=len)))
    assert len({min(flat(trace), key=len) for trace in each}) > 1


def test_a_pool_holds_all_heads_of_its_sets():
    traces = simulate(clean(Keyed("moment", Sizes(3.0, 1.0), pool=6)), 30)["evaluation"]
    assert len(frozenset.union(*(heads for trace in traces for heads in flat(trace)))) == 6


def test_retest_repeats_the_needles_in_other_haystacks_and_detection_shares_nothing():
    roles = simulate(replace(WORLDS["by token"], accuracy=0.5), 30, seed=1)
    assert set(roles) == ROLES and all(len(row) == 30 for row in roles.values())
    for first, second in zip(roles["evaluation"], roles["retest"], strict=True):
        assert first.answer == second.answer and first.meta["seed"] != second.meta["seed"]
        if is_correct("niah", first.text, first.answer) and is_correct("niah", second.text, second.answer):
            assert torch.equal(first.tokens, second.tokens)
    answers = {role: {trace.answer for trace in row} for role, row in roles.items()}
    assert answers["evaluation"] == answers["retest"] and not answers["detection"] & answers["evaluation"]
    right = [is_correct(trace.task, trace.text, trace.answer) for row in roles.values() for trace in row]
    assert 0.3 < np.mean(right) < 0.7


def test_needles_may_be_shared_by_several_samples():
    roles = simulate(WORLDS["the same, 4 samples a needle"], 20)
    assert len({trace.answer for trace in roles["evaluation"]}) == 5 and len({trace.meta["seed"] for trace in roles["evaluation"]}) == 20


@pytest.mark.parametrize("noise", [Noise(0.7, 0.0), Noise(1.0, 0.5), Noise(0.8, 0.3)])
def test_noise_drops_heads_of_the_set_and_adds_strangers(noise):
    shape = Shape(n_layers=8, n_heads=8)
    fixed = SimulatedWorld("fixed", Truth.FIXED, Keyed("always", Sizes(10.0, 0.0)), noise, shape=shape)
    active = torch.stack([trace.active.flatten(1) for trace in simulate(fixed, 200)["evaluation"]]).float()
    seen = active.mean(dim=(0, 1)).sort(descending=True).values
    assert float(seen[:10].mean()) == pytest.approx(noise.reliability, abs=0.02)
    assert float(seen[10:].sum()) == pytest.approx(10 * noise.strangers, abs=0.1)


def test_wrong_answers_may_be_noisier():
    world = SimulatedWorld("w", Truth.FIXED, Keyed("always"), CLEAN, Noise(0.5, 0.0), accuracy=0.5)
    sizes = defaultdict(set)
    for trace in simulate(world, 40)["evaluation"]:
        sizes[trace.text.startswith(trace.answer)] |= {len(heads) for heads in flat(trace)}
    assert len(sizes[True]) == 1 < len(sizes[False])


def test_sizes_have_the_mean_and_spread_asked_for():
    drawn = Sizes(12.97, 7.69).draw(np.random.default_rng(2), 20_000, 1024)
    assert drawn.mean() == pytest.approx(12.97, abs=0.2) and drawn.std() == pytest.approx(7.69, abs=0.2)
    assert drawn.min() >= 1 and Sizes(12.97, 7.69).draw(np.random.default_rng(2), 1000, 16).max() == 16


def test_a_seed_makes_a_world_and_another_another():
    world = WORLDS["half by token, half by haystack"]
    one, same, other = (simulate(world, 5, seed=seed)["retest"] for seed in (1, 1, 2))
    scores, again, others = (torch.stack([trace.retrieval_scores for trace in traces]) for traces in (one, same, other))
    assert torch.equal(scores, again) and not torch.equal(scores, others)
    assert torch.equal(one[0].hidden, same[0].hidden)


@pytest.mark.parametrize(
    ("name", "second", "first"),
    [
        ("static, reliability 0.9", Outcome.REFUTED, None),
        ("ranking, number by token, phi4-mini", Outcome.REFUTED, Outcome.SUPPORTED),
        ("ranking of each needle, number by token", Outcome.INCONCLUSIVE, Outcome.SUPPORTED),
        ("by token", Outcome.SUPPORTED, Outcome.SUPPORTED),
        ("by step", Outcome.SUPPORTED, Outcome.SUPPORTED),
        ("by needle", Outcome.INCONCLUSIVE, Outcome.REFUTED),
        ("drifts, one head a step", Outcome.SUPPORTED, None),
        ("two lists, by step", Outcome.SUPPORTED, None),
        ("two lists, by needle", Outcome.INCONCLUSIVE, None),
        ("flicker of whole layers", Outcome.REFUTED, None),
        ("anew at each step", Outcome.INCONCLUSIVE, None),
    ],
)
def test_the_second_criteria_tell_worlds_apart(name, second, first):
    world = WORLDS[name]
    verdict = Dynamism(n_resamples=400).judge(request_for(world), simulate(world, 40, seed=12))
    assert verdict.outcome is second and verdict.model == name
    assert first is None or verdict.beside[0].outcome is first


def test_what_cannot_be_simulated_is_refused():
    with pytest.raises(InputError, match="at least 1 sample of each role, got 0"):
        simulate(WORLDS["by token"], 0)
    scene = Scene(np.random.default_rng(0), SHAPE, np.zeros((1, SHAPE.n_steps), dtype=int), np.zeros(1, dtype=int), np.zeros(1, dtype=int))
    with pytest.raises(InputError, match=r"heads go by one of always, token, .*, got 'layer'"):
        scene.keys("layer")
