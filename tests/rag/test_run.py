"""Samples and strategies as one batch are what each is by itself."""

import dataclasses

import pytest
import torch

from mechdyn.decoding.engines import make_engine
from mechdyn.decoding.trace import trace
from mechdyn.errors import InputError, UnsupportedModelError
from mechdyn.models.load import load_model
from mechdyn.rag.options import RagOptions
from mechdyn.rag.run import Condition, dynamic_rag
from mechdyn.rag.serve import Server
from mechdyn.rag.strategies import FixedRandomHeads, FreshRandomHeads, FullContext, NoContext, OracleHeads
from mechdyn.scores.reasoning import Reasoning
from mechdyn.tasks.world import world

LIMIT = 40
OPTIONS = RagOptions(threshold=0.6, k=4, window=12, max_new_tokens=LIMIT)
CONDITIONS = {
    "oracle": Condition(OracleHeads(), OPTIONS),
    "fresh": Condition(FreshRandomHeads(), OPTIONS),
    "fixed": Condition(FixedRandomHeads(), OPTIONS),
    "none": Condition(NoContext(), OPTIONS),
    "full": Condition(FullContext(), OPTIONS),
}


@pytest.fixture(scope="module")
def mini():
    return load_model("mini")


@pytest.fixture(scope="module")
def samples(mini):
    return [world(mini, length=length, seed=seed) for seed, length in enumerate((200, 240))]


@pytest.fixture(scope="module")
def logs(mini, samples):
    return dynamic_rag(mini, samples, CONDITIONS)


def same(one, other):
    """Logs agree but for rounding in RIND's numbers, which batches of another width change in their last digits."""
    if one.rounds != other.rounds:
        for mine, theirs in zip(one.rounds, other.rounds, strict=True):
            assert dataclasses.replace(mine, rind=None) == dataclasses.replace(theirs, rind=None)
            pairs = zip(mine.rind.words, theirs.rind.words, strict=True) if mine.rind else ()
            assert all(abs(a.value - b.value) < 1e-3 for a, b in pairs)
    return dataclasses.replace(one, rounds=(), seconds=0.0) == dataclasses.replace(other, rounds=(), seconds=0.0)


def test_something_is_retrieved_here(logs):
    assert all(row["oracle"].retrievals for row in logs)
    assert len({row["oracle"].text for row in logs}) == 2


@pytest.mark.parametrize(("name", "place"), [("oracle", 0), ("fresh", 1), ("full", 0), ("none", 1)])
def test_a_strategy_alone_gives_what_it_gives_in_company(mini, samples, logs, name, place):
    (alone,) = dynamic_rag(mini, [samples[place]], {name: CONDITIONS[name]}, score="reasoning:sink=4")
    assert same(alone[name], logs[place][name])
    assert alone[name].forwards == logs[place][name].forwards, "forwards are those of a strategy by itself"


def test_the_full_context_is_plain_generation(mini, samples, logs):
    for sample, row in zip(samples, logs, strict=True):
        traced = trace(mini, sample, score=Reasoning(), max_new_tokens=LIMIT)
        assert row["full"].tokens == tuple(traced.tokens.tolist())
        assert row["full"].forwards == 1 + len(row["full"].tokens) + (row["full"].stopped == "eos")


def test_a_retrieval_sees_the_scores_that_a_trace_records(mini, samples):
    """The oracle's scores at the first retrieval are Eq. 2 at step 0 of a clean trace."""
    seen = []

    class Spy(OracleHeads):
        def heads(self, found, sample, round):
            seen.append(found)
            return super().heads(found, sample, round)

    always = dataclasses.replace(OPTIONS, threshold=0.0)
    dynamic_rag(mini, samples[:1], {"oracle": Condition(Spy(), always)})
    traced = trace(mini, samples[0], score=Reasoning(), max_new_tokens=1)
    torch.testing.assert_close(seen[0].scores, traced.retrieval_scores[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(seen[0].hidden, traced.hidden[0], atol=1e-4, rtol=0)


def test_equal_calls_are_run_once(mini, samples, monkeypatch):
    asked = []
    for name in ("write", "observe", "attend"):
        plain = getattr(Server, name)
        monkeypatch.setattr(Server, name, lambda self, calls, plain=plain: asked.extend(calls) or plain(self, calls))
    dynamic_rag(mini, samples, CONDITIONS)
    texts = [call for call in asked if not hasattr(call, "kept") or hasattr(call, "shown")]
    assert len(texts) == len(set(texts))
    first_drafts = [call for call in texts if getattr(call, "shown", None) == () and call.kept == ()]
    assert len(first_drafts) == len(samples), "all strategies begin with the same draft, which is the answer without context"


def test_time_is_shared_out(logs):
    assert all(log.seconds > 0 for row in logs for log in row.values())


def test_rewritten_sentences_depend_on_what_is_shown(mini, samples):
    """Where the window holds the fact and nothing else, the sentence is about the fact."""
    wide = Condition(OracleHeads(), dataclasses.replace(OPTIONS, window=400))
    blind = Condition(NoContext(), OPTIONS)
    for row in dynamic_rag(mini, samples[:1], {"wide": wide, "blind": blind}):
        assert row["wide"].retrievals[0].facts == (1.0, 1.0)
        assert row["wide"].text != row["blind"].text


@pytest.mark.parametrize(
    "changes", [{"mode": "text"}, {"attention": "full"}, {"draft": "windows"}, {"variant": "paper", "threshold": 0.05}]
)
def test_other_choices_run_to_an_end(mini, samples, changes):
    condition = Condition(OracleHeads(), dataclasses.replace(OPTIONS, **changes))
    for row in dynamic_rag(mini, samples[:1], {"oracle": condition}):
        assert row["oracle"].stopped in ("eos", "length", "rounds")
        assert len(row["oracle"].rounds) <= OPTIONS.max_sentences + 1


def test_the_answer_never_passes_its_limit(mini, samples):
    short = dataclasses.replace(OPTIONS, max_new_tokens=9)
    for row in dynamic_rag(mini, samples, {name: dataclasses.replace(each, options=short) for name, each in CONDITIONS.items()}):
        assert all(len(log.tokens) <= 9 for log in row.values())


def test_the_bridge_engine_gives_the_same(mini, samples, logs):
    (row,) = dynamic_rag(mini, samples[:1], {"oracle": CONDITIONS["oracle"]}, engine=make_engine(mini, "bridge"))
    assert same(row["oracle"], logs[0]["oracle"])


def test_what_cannot_run_is_refused(mini, samples):
    with pytest.raises(InputError, match="got 0 and 5"):
        dynamic_rag(mini, [], CONDITIONS)
    with pytest.raises(InputError, match="got 2 and 0"):
        dynamic_rag(mini, samples, {})
    with pytest.raises(InputError, match="this sample has none; leave it out"):
        bare = dataclasses.replace(samples[0], needle_positions=torch.zeros(0, dtype=torch.long))
        dynamic_rag(mini, [bare], CONDITIONS)
    with pytest.raises(InputError, match="the answer may take 40, mini holds 260 positions"):
        dynamic_rag(dataclasses.replace(mini, n_ctx=260), samples, CONDITIONS)
    with pytest.raises(UnsupportedModelError, match="which a HookedTransformer has not"):
        dynamic_rag(dataclasses.replace(mini, twin=None), samples, CONDITIONS)
