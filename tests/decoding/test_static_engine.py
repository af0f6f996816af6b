"""The engine of fixed shapes against the fast one: traces, conditions and what makes it fall back."""

import logging

import pytest
import torch

from mechdyn.decoding.ablation import Ablation
from mechdyn.decoding.fast_engine import FastEngine
from mechdyn.decoding.static_engine import StaticEngine
from mechdyn.decoding.trace import trace, trace_conditions, trace_many
from mechdyn.models.load import load_model, wrap_model
from mechdyn.schedules import Dynamic
from mechdyn.tasks.niah import niah
from tests.architectures import STYLES, tiny_model
from tests.bundled import mini_tokenizer


@pytest.fixture(scope="module")
def mini():
    return load_model("mini")


def _same(one, two):
    assert one.tokens.tolist() == two.tokens.tolist() and one.stopped == two.stopped
    assert torch.equal(one.active, two.active)
    torch.testing.assert_close(one.retrieval_scores, two.retrieval_scores, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(one.hidden, two.hidden, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("score", ["copy_paste", "mass", "locos"])
def test_traces_are_those_of_the_fast_engine_and_nothing_falls_back(mini, score):
    static = StaticEngine(mini)
    sample = niah(mini, length=96, depth=0.5, seed=3)
    ours, theirs = (
        trace(mini, sample, score=score, max_new_tokens=6, keep_patterns=True, engine=engine) for engine in (static, FastEngine(mini))
    )
    _same(ours, theirs)
    torch.testing.assert_close(ours.patterns, theirs.patterns, atol=1e-5, rtol=0)
    assert static.fallbacks == []


@pytest.mark.parametrize("commit", ["clean", "ablated"])
def test_ablated_steps_are_those_of_the_fast_engine(mini, commit):
    static = StaticEngine(mini)
    sample = niah(mini, length=96, depth=0.3, seed=4)
    ours, theirs = (
        trace(mini, sample, ablate=Ablation(Dynamic(), commit=commit), max_new_tokens=6, engine=engine)
        for engine in (static, FastEngine(mini))
    )
    _same(ours, theirs)
    assert torch.equal(ours.ablated, theirs.ablated) and bool(ours.ablated.any())


@pytest.mark.parametrize("style", STYLES)
def test_padded_batches_of_every_architecture(style):
    model, generator = wrap_model(tiny_model(style, seed=5), mini_tokenizer(), name=style), torch.Generator().manual_seed(2)
    engine, static = FastEngine(model), StaticEngine(model)
    prompts = [torch.randint(6, 40, (length,), generator=generator) for length in (40, 33)]
    theirs, ours = engine.prefill(prompts), static.prefill(prompts)
    fed = torch.tensor([7, 8])
    for _ in range(4):
        expected, theirs = engine.step(theirs, fed)
        found, ours = static.step(ours, fed)
        torch.testing.assert_close(found.logits, expected.logits, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(torch.stack(found.patterns), torch.stack(expected.patterns), atol=1e-5, rtol=0)
        fed = expected.logits.argmax(dim=-1)
    assert static.fallbacks == []
    found, _ = static.step(static.fork(ours, [1]), fed[1:])
    expected, _ = engine.step(engine.fork(theirs, [1]), fed[1:])
    torch.testing.assert_close(found.logits, expected.logits, atol=1e-4, rtol=1e-4)
    assert len(static.fallbacks) == 1


def test_states_are_values(mini):
    static, engine = StaticEngine(mini), FastEngine(mini)
    prompt = torch.arange(6, 70)
    begin = static.prefill([prompt])
    first, after = static.step(begin, torch.tensor([9]))
    static.step(begin, torch.tensor([11]))
    again, _ = static.step(after, torch.tensor([10]))
    _, behind = engine.step(engine.prefill([prompt]), torch.tensor([9]))
    expected, _ = engine.step(behind, torch.tensor([10]))
    torch.testing.assert_close(again.logits, expected.logits, atol=1e-4, rtol=1e-4)
    assert not torch.equal(first.logits, again.logits)


def test_conditions_split_and_go_on_one_by_one(mini, caplog):
    samples = [niah(mini, length=96, depth=depth, seed=6) for depth in (0.2, 0.8)]
    conditions = {"clean": None, "dynamic": Dynamic()}
    with caplog.at_level(logging.WARNING):
        ours = trace_conditions(mini, samples, conditions, max_new_tokens=8, engine="static")
    for one, two in zip(ours, trace_conditions(mini, samples, conditions, max_new_tokens=8, engine="fast"), strict=True):
        for name in conditions:
            _same(one[name], two[name])
    said = [record.getMessage() for record in caplog.records if "engine static" in record.getMessage()]
    assert len(said) == len(set(said))


def test_more_tokens_than_there_is_room_for(mini):
    static = StaticEngine(mini, room=3)
    samples = [niah(mini, length=96, depth=0.5, seed=seed) for seed in (1, 2)]
    ours = list(trace_many(mini, samples, max_new_tokens=6, engine=static))
    for one, two in zip(ours, trace_many(mini, samples, max_new_tokens=6, engine="fast"), strict=True):
        _same(one, two)
    assert any("room for 3 tokens" in reason for reason in static.fallbacks)
