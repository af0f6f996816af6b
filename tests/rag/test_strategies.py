"""Which heads a strategy takes."""

import pytest
import torch

from mechdyn.errors import InputError, StoreError
from mechdyn.heads import Head, rank_heads
from mechdyn.probes.mlp import MLPShape
from mechdyn.probes.probe import Probe
from mechdyn.rag.names import STRATEGIES
from mechdyn.rag.requests import Seen
from mechdyn.rag.strategies import Direct, Dynamic, Oracle, Random, Static, make_strategy, top_heads
from tests.rag.scripted import context

N_LAYERS, N_HEADS, D_MODEL = 3, 4, 6
MODEL = {"name": "made up", "revision": "1", "dtype": "float32", "n_layers": N_LAYERS, "n_heads": N_HEADS, "d_model": D_MODEL}


def made_up_probe(offset=0, model=MODEL):
    torch.manual_seed(0)
    shape = MLPShape(D_MODEL, N_LAYERS * N_HEADS, (), 0.0)
    return Probe(shape.build().eval(), shape, N_LAYERS, N_HEADS, offset, False, None, model, {})


def seen(seed=0):
    torch.manual_seed(seed)
    return Seen(torch.rand(N_LAYERS, N_HEADS, 7), torch.rand(N_LAYERS, N_HEADS), torch.randn(D_MODEL))


def ranked(scores):
    places = [(Head(*divmod(index, N_HEADS)), float(score)) for index, score in enumerate(scores.flatten())]
    return sorted(places, key=lambda pair: (-pair[1], pair[0]))


def test_the_oracle_takes_the_highest_scores():
    found = seen()
    assert set(Oracle(5).heads(found, "s", 0)) == {head for head, _ in ranked(found.scores)[:5]}


def test_dynamic_takes_the_probe_s_highest_for_the_hidden_state():
    found, probe = seen(), made_up_probe()
    predicted = probe.predict(found.hidden[None])[0]
    assert set(Dynamic(probe, 5).heads(found, "s", 0)) == {head for head, _ in ranked(predicted)[:5]}
    assert Dynamic(probe, 5).heads(seen(1), "s", 0) != Dynamic(probe, 5).heads(found, "s", 0)


def test_static_takes_the_ranking_s_first_always():
    ranking = rank_heads(ranked(torch.rand(N_LAYERS, N_HEADS)), N_LAYERS, N_HEADS)
    static = Static(ranking, 5)
    assert static.heads(seen(), "s", 0) == static.heads(seen(1), "t", 3) == ranking.top(5)


def test_random_heads_are_drawn_at_each_retrieval_or_once_an_answer():
    fresh, fixed = Random(fresh=True, seed=1), Random(fresh=False, seed=1)
    rounds = range(8)
    assert len({fixed.heads(seen(), "s", round) for round in rounds}) == 1
    assert len({fresh.heads(seen(), "s", round) for round in rounds}) > 4
    assert len({fixed.heads(seen(), f"sample {n}", 0) for n in rounds}) > 4
    assert fresh.heads(seen(), "s", 2) == Random(fresh=True, seed=1).heads(seen(1), "s", 2), "the seed decides, not the model"
    assert all(len(fresh.heads(seen(), "s", round)) == 5 for round in rounds)


def test_every_head_is_drawn_about_as_often():
    counts = torch.zeros(N_LAYERS, N_HEADS)
    n = 2400
    for index in range(n):
        counts += Random(fresh=True, n=3).heads(seen(), f"{index}", 0).mask()
    assert counts.sum() == n * 3
    expected = n * 3 / counts.numel()
    assert float(((counts - expected) ** 2 / expected).sum()) < 40, "chi-squared of 11 degrees of freedom"


def test_ties_go_to_the_lowest_layer_and_head():
    assert set(top_heads(torch.zeros(2, 3), 4)) == {Head(0, 0), Head(0, 1), Head(0, 2), Head(1, 0)}


def test_each_name_makes_its_strategy():
    ranking = rank_heads(ranked(torch.rand(N_LAYERS, N_HEADS)), N_LAYERS, N_HEADS)
    made = [make_strategy(name, probe=made_up_probe(), ranking=ranking) for name in STRATEGIES]
    assert [type(one) for one in made] == [Dynamic, Oracle, Static, Random, Random, Direct, Direct]
    assert [one.fresh for one in made[3:5]] == [True, False] and [one.whole for one in made[5:]] == [False, True]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("best", "unknown strategy 'best'; give some of dynamic, oracle"),
        ("dynamic", "chooses heads by a probe, got none"),
        ("static", "needs ranked heads, got none"),
    ],
)
def test_what_a_strategy_lacks_is_named(name, message):
    with pytest.raises(InputError, match=message):
        make_strategy(name)


def test_misfits_are_refused_before_anything_runs():
    sample = context().sample
    with pytest.raises(StoreError, match="fitted on another model, made up"):
        Dynamic(made_up_probe()).check(MODEL | {"revision": "2"}, sample)
    with pytest.raises(InputError, match="predicts 2 steps ahead; fit one at offset 0"):
        Dynamic(made_up_probe(offset=2))
    with pytest.raises(InputError, match="of a model of 3 layers x 4 heads, this one has 5 x 4"):
        Static(rank_heads(ranked(torch.rand(3, 4)), 3, 4)).check(MODEL | {"n_layers": 5}, sample)
    with pytest.raises(InputError, match=r"between 1 and 12 heads .*got 13"):
        Random(fresh=True, n=13).check(MODEL, sample)
    with pytest.raises(InputError, match=r"between 1 and 12 heads .*got 0"):
        top_heads(torch.zeros(3, 4), 0)
