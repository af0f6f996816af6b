from dataclasses import replace

import pytest
import torch

from mechdyn.app.ask import Ask
from mechdyn.app.bench import KEPT, Bench
from mechdyn.decoding.effect import effect
from mechdyn.decoding.trace import trace
from mechdyn.errors import InputError
from mechdyn.heads import HeadSet
from mechdyn.models.load import load_model
from mechdyn.schedules import Static

ASK = Ask("The magic word is d6e3b34c-9e6e-4514-88d2-f95c18c63ccf.", "What is the magic word?", length=256, new_tokens=6)


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench(load_model("mini"))


def finished(bench: Bench, name: str):
    entry = bench.entry(name)
    assert entry is not None
    snapshot = entry.job.wait(60.0)
    assert snapshot.stage == "done", snapshot
    return snapshot.trace


def test_a_request_gives_the_trace_that_the_library_gives(bench: Bench) -> None:
    result = finished(bench, bench.ask(ASK))
    expected = trace(bench.model, ASK.sample(bench.model, bench.limits), max_new_tokens=6)
    assert (result.text, result.n_steps) == (expected.text, 6)
    torch.testing.assert_close(result.retrieval_scores, expected.retrieval_scores)


def test_the_same_request_without_heads_is_the_ablated_trace(bench: Bench) -> None:
    name = bench.ask(ASK)
    heads = [str(head) for head in finished(bench, name).heads(0)]
    result = finished(bench, bench.without(name, heads))
    off = HeadSet.from_mask(result.ablated[0])
    assert [str(head) for head in off] == heads
    expected = trace(bench.model, ASK.sample(bench.model, bench.limits), ablate=Static(off), max_new_tokens=6)
    assert result.text == expected.text != finished(bench, name).text


def test_the_effect_is_that_of_these_heads_along_the_first_answer(bench: Bench) -> None:
    name = bench.ask(ASK)
    clean = finished(bench, name)
    heads = HeadSet.of(list(clean.heads(0)), bench.model.n_layers, bench.model.n_heads)
    entry = bench.entry(bench.without(name, map(str, heads)))
    assert entry is not None and bench.entry(name).job.snapshot.effect is None
    found = entry.job.wait(60.0).effect
    expected = effect(bench.model, ASK.sample(bench.model, bench.limits), heads, tokens=clean.tokens)
    assert found is not None and found.tokens.equal(clean.tokens) and bool((found.n_off == len(heads)).all())
    torch.testing.assert_close(found.delta, expected.delta)
    assert float(found.delta[0, 0, 0]) > 0.1


def test_what_cannot_run_is_refused_at_once(bench: Bench) -> None:
    name = bench.ask(ASK)
    with pytest.raises(InputError, match="no head is switched off"):
        bench.without(name, [])
    with pytest.raises(InputError, match="head L9H0 is outside a model of 5 layers x 16 heads"):
        bench.without(name, ["L9H0"])
    with pytest.raises(InputError, match="a head is written like L4H7"):
        bench.without(name, ["x"])
    with pytest.raises(InputError, match="that generation is no longer kept"):
        bench.without("unknown", ["L0H0"])
    with pytest.raises(InputError, match="beyond the model's context"):
        bench.ask(Ask("A bee.", "What?", length=10_000))
    assert bench.entry(None) is bench.entry("unknown") is None


SHORT = Ask("A bee.", "What?", length=200, new_tokens=1)


def test_no_request_is_dropped_and_what_finds_no_room_is_refused() -> None:
    bench = Bench(load_model("mini"))
    with bench._model_in_use:  # as if a generation went on and on: nothing that is asked can start
        names = [bench.ask(SHORT) for _ in range(KEPT)]
        with pytest.raises(InputError, match="32 generations run or wait already and no more are taken; cancel one, or wait"):
            bench.ask(SHORT)
        entries = [bench.entry(name) for name in names]
        assert all(entry is not None and entry.job.snapshot.stage == "waiting" for entry in entries)
        bench.cancel([names[3], "unknown"])
        assert entries[3] is not None and entries[3].job.wait(60.0).stage == "cancelled"
        late = bench.ask(SHORT)  # takes the place of the one that has ended
        assert bench.entry(names[3]) is None and bench.entry(late) is not None
        bench.cancel([*names, late])


def test_of_those_that_have_ended_the_latest_are_kept() -> None:
    bench = Bench(load_model("mini"))
    names = []
    for _ in range(KEPT + 2):
        names.append(bench.ask(SHORT))
        bench.cancel(names)
        entry = bench.entry(names[-1])
        assert entry is not None and entry.job.wait(60.0).ended
    assert [bench.entry(name) is None for name in names] == [True] * 2 + [False] * KEPT


def test_another_model_of_the_menu_is_loaded_when_it_is_asked_for() -> None:
    bench = Bench(load_model("mini"), others=["mini", "planted-static"])
    assert bench.names == ("mini", "planted-static")
    result = finished(bench, name := bench.ask(replace(SHORT, model="planted-static", new_tokens=2)))
    entry = bench.entry(name)
    assert entry is not None and entry.model.name == "planted-static"
    assert result.retrieval_scores.shape[1:] == (entry.model.n_layers, entry.model.n_heads)
    with pytest.raises(InputError, match="this page has no model 'planted-step'; choose one of mini, planted-static"):
        bench.ask(replace(SHORT, model="planted-step"))
    with pytest.raises(InputError, match="unknown score 'nope'"):
        bench.ask(replace(SHORT, score="nope"))
