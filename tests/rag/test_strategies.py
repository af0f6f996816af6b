"""Which heads a strategy takes."""

import pytest
import torch

from mechdyn.errors import InputError, StoreError
from mechdyn.heads import Head, rank_heads
from mechdyn.probes.mlp import MLPShape
from mechdyn.probes.probe import Probe
from mechdyn.rag.calls import Seen
from mechdyn.rag.strategies import (
    OWN,
    FixedRandomHeads,
    FreshRandomHeads,
    FullContext,
    NoContext,
    OracleHeads,
    ProbedHeads,
    StaticHeads,
    about,
    check_strategy,
    make_strategy,
    table_order,
    top_heads,
)
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
    assert set(OracleHeads(5).heads(found, "s", 0)) == {head for head, _ in ranked(found.scores)[:5]}


def test_dynamic_takes_the_probe_s_highest_for_the_hidden_state():
    found, probe = seen(), made_up_probe()
    predicted = probe.predict(found.hidden[None])[0]
    assert set(ProbedHeads(probe, 5).heads(found, "s", 0)) == {head for head, _ in ranked(predicted)[:5]}
    assert ProbedHeads(probe, 5).heads(seen(1), "s", 0) != ProbedHeads(probe, 5).heads(found, "s", 0)


def test_static_takes_the_ranking_s_first_always():
    ranking = rank_heads(ranked(torch.rand(N_LAYERS, N_HEADS)), N_LAYERS, N_HEADS)
    static = StaticHeads(ranking, 5)
    assert static.heads(seen(), "s", 0) == static.heads(seen(1), "t", 3) == ranking.top(5)


def test_random_heads_are_drawn_at_each_retrieval_or_once_an_answer():
    fresh, fixed = FreshRandomHeads(seed=1), FixedRandomHeads(seed=1)
    rounds = range(8)
    assert len({fixed.heads(seen(), "s", round) for round in rounds}) == 1
    assert len({fresh.heads(seen(), "s", round) for round in rounds}) > 4
    assert len({fixed.heads(seen(), f"sample {n}", 0) for n in rounds}) > 4
    assert fresh.heads(seen(), "s", 2) == FreshRandomHeads(seed=1).heads(seen(1), "s", 2), "the seed decides, not the model"
    assert all(len(fresh.heads(seen(), "s", round)) == 5 for round in rounds)


def test_every_head_is_drawn_about_as_often():
    counts = torch.zeros(N_LAYERS, N_HEADS)
    n = 2400
    for index in range(n):
        counts += FreshRandomHeads(n=3).heads(seen(), f"{index}", 0).mask()
    assert counts.sum() == n * 3
    expected = n * 3 / counts.numel()
    assert float(((counts - expected) ** 2 / expected).sum()) < 40, "chi-squared of 11 degrees of freedom"


def test_ties_go_to_the_lowest_layer_and_head():
    assert set(top_heads(torch.zeros(2, 3), 4)) == {Head(0, 0), Head(0, 1), Head(0, 2), Head(1, 0)}


def test_each_name_makes_its_strategy():
    ranking, probe = rank_heads(ranked(torch.rand(N_LAYERS, N_HEADS)), N_LAYERS, N_HEADS), made_up_probe()
    made = [make_strategy(name, n=3, seed=7, probe=probe, ranking=ranking) for name in OWN]
    assert made[1:] == [
        OracleHeads(3),
        StaticHeads(ranking, 3),
        FreshRandomHeads(3, seed=7),
        FixedRandomHeads(3, seed=7),
        NoContext(),
        FullContext(),
    ]
    assert isinstance(made[0], ProbedHeads) and (made[0].probe, made[0].n) == (probe, 3)


def test_an_option_goes_before_what_the_run_gives():
    assert make_strategy("oracle:n=2", n=4) == OracleHeads(2)
    assert make_strategy("fixed-random:seed=9,n=1", n=4, seed=3) == FixedRandomHeads(1, seed=9)
    assert make_strategy("fixed-random:n=1", seed=3) == FixedRandomHeads(1, seed=3)
    assert make_strategy("dynamic:n=2", probe=made_up_probe()).n == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("best", "unknown RAG strategy 'best'; give one of .*dynamic, .*oracle"),
        ("dynamic", "the strategy dynamic needs a probe, got none; make one from other samples, or leave the strategy out"),
        ("static", "the strategy static needs ranked heads, got none"),
        ("dynamic:probe=folder", "the strategy dynamic has no option 'probe'; it has n"),
        ("oracle:seed=1", "the strategy oracle has no option 'seed'; it has n"),
        ("no-context:n=1", "the strategy no-context has no option 'n'; it has none"),
        ("oracle:n", "options are written name:option=value"),
    ],
)
def test_what_cannot_be_made_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        make_strategy(text)


def test_a_run_learns_what_a_strategy_needs_before_it_makes_it():
    assert {name: set(check_strategy(name)) for name in OWN} == {
        "dynamic": {"probe", "n"},
        "oracle": {"n"},
        "static": {"ranking", "n"},
        "dynamic-random": {"n", "seed"},
        "fixed-random": {"n", "seed"},
        "no-context": set(),
        "full-context": set(),
    }
    with pytest.raises(InputError, match="the strategy dynamic has no option 'best'"):
        check_strategy("dynamic:best=1")


def test_tables_have_the_own_strategies_first_and_each_text_once():
    asked = ["theirs:k=2", "full-context", "oracle:n=2", "theirs", "oracle", "theirs:k=2", "dynamic"]
    assert table_order(asked) == ("dynamic", "oracle:n=2", "oracle", "full-context", "theirs:k=2", "theirs")
    assert table_order(reversed(OWN)) == OWN


def test_a_condition_that_is_called_as_a_strategy_is_explained():
    assert about("oracle") == about("oracle:n=2") == "the top heads by Eq. 2"
    assert about("oracle, threshold 0.4") == about("full context") == about("") == ""
    assert all(about(name) for name in OWN)


def test_misfits_are_refused_before_anything_runs():
    sample = context().sample
    with pytest.raises(StoreError, match="fitted on another model, made up"):
        ProbedHeads(made_up_probe()).check(MODEL | {"revision": "2"}, sample)
    with pytest.raises(InputError, match="predicts 2 steps ahead; fit one at offset 0"):
        ProbedHeads(made_up_probe(offset=2))
    with pytest.raises(InputError, match="of a model of 3 layers x 4 heads, this one has 5 x 4"):
        StaticHeads(rank_heads(ranked(torch.rand(3, 4)), 3, 4)).check(MODEL | {"n_layers": 5}, sample)
    ranking = rank_heads(ranked(torch.rand(N_LAYERS, N_HEADS)), N_LAYERS, N_HEADS)
    for greedy in (FreshRandomHeads(13), FixedRandomHeads(13), OracleHeads(13), StaticHeads(ranking, 13), ProbedHeads(made_up_probe(), 13)):
        with pytest.raises(InputError, match=r"between 1 and 12 heads .*got 13"):
            greedy.check(MODEL, sample)
    with pytest.raises(InputError, match=r"between 1 and 12 heads .*got 0"):
        top_heads(torch.zeros(3, 4), 0)
