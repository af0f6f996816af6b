"""A strategy from outside: what it is told, what becomes of its windows, what it costs, and how it is refused."""

import dataclasses
import json
from dataclasses import dataclass

import pytest

from mechdyn.errors import InputError
from mechdyn.models.load import load_model
from mechdyn.rag.calls import Attend, Observe, Write
from mechdyn.rag.log import log_from_json
from mechdyn.rag.options import RagOptions
from mechdyn.rag.run import Condition, dynamic_rag
from mechdyn.rag.serve import Server
from mechdyn.rag.strategies import OracleHeads, about, check_strategy, make_strategy, table_order
from mechdyn.rag.strategy import STRATEGIES, DirectStrategy, HeadStrategy, Strategy, WindowStrategy, strategy
from mechdyn.tasks.world import world
from tests.plugin.mechdyn_example.bm25 import BM25
from tests.rag.scripted import Script, said

NAME = "bm25"
OPTIONS = RagOptions(threshold=0.6, max_new_tokens=40)
ONE, TWO = "The mill is in Bordford.", " The owner of the mill is Carla Benson."


@dataclass(frozen=True)
class Fixed(WindowStrategy):
    """The windows it is made with; keeps what it is told."""

    spans: tuple = ()
    told: list = dataclasses.field(default_factory=list)

    def windows(self, retrieval):
        self.told.append(retrieval)
        return self.spans


def doubtful(**options):
    return Script(said(ONE + TWO, doubt=["Carla Benson"]), said(" It is Dora Finch. And", "sentence"), said(""), **options)


def test_the_name_and_its_options_make_it():
    assert make_strategy(NAME) == BM25() and make_strategy(f"{NAME}:sentences=3,b=0.5") == BM25(sentences=3, b=0.5)
    assert check_strategy(NAME) == () and about(f"{NAME}:sentences=3") == BM25.about
    assert table_order([NAME, "oracle"]) == ("oracle", NAME)
    with pytest.raises(InputError, match=f"the strategy {NAME} has no option 'heads'; it has sentences, k1, b"):
        make_strategy(f"{NAME}:heads=5")


def test_it_is_told_the_context_the_text_so_far_the_flagged_sentence_and_the_numbers():
    script, fixed = doubtful(k=7), Fixed()
    script.run(fixed)
    (told,) = fixed.told
    assert (told.kept, told.flagged, told.round, told.options.k) == (ONE, TWO, 0, 7)
    assert told.context is script.context
    start, end = script.context.sample.context_span
    assert told.context.passage == script.context.sample.prompt[start:end]


def test_its_windows_are_shown_in_order_and_nothing_is_asked_of_the_model_for_them():
    script = doubtful()
    start = script.context.start
    log = script.run(Fixed(((start + 20, start + 30), (start + 2, start + 5), (start + 28, start + 33), (start + 9, start + 9))))
    expected = ((start + 2, start + 5), (start + 20, start + 33))
    assert not script.of(Observe) and [type(call) for call in script.asked] == [Write, Attend, Write, Write]
    assert script.of(Write)[1].shown == expected
    (round,) = log.retrievals
    assert round.heads == () and tuple(window.tokens for window in round.windows) == expected
    assert log.shown == 3 + 13
    assert log_from_json(json.loads(json.dumps(log.as_json()))).retrievals[0].windows == round.windows


def test_nothing_found_is_an_answer_without_context():
    script = doubtful()
    log = script.run(Fixed())
    assert script.of(Write)[1].shown == () and log.shown == 0
    assert log.retrievals[0].windows == () and set(log.retrievals[0].facts) == {0.0}


def test_windows_outside_the_context_are_refused():
    script = doubtful()
    with pytest.raises(InputError, match="a window must lie in the context"):
        script.run(Fixed(((script.context.start - 1, script.context.start + 1),)))


def test_a_direct_strategy_may_show_some_of_the_context():
    @dataclass(frozen=True)
    class Beginning(DirectStrategy):
        n: int = 4

        def shown(self, context):
            return [(context.start, context.start + self.n)]

    script = Script(said(ONE))
    log = script.run(Beginning(6))
    (write,) = script.asked
    assert write.shown == ((script.context.start, script.context.start + 6),) and log.shown == 6 and log.rounds == ()


@pytest.fixture(scope="module")
def mini():
    return load_model("mini")


@pytest.fixture(scope="module")
def samples(mini):
    return [world(mini, length=length, seed=seed) for seed, length in enumerate((220, 260), start=40)]


def answered(mini, samples, names):
    strategies = {NAME: BM25(), "oracle": OracleHeads(), "no-context": make_strategy("no-context")}
    return dynamic_rag(mini, samples, {name: Condition(strategies[name], OPTIONS) for name in names})


def test_bm25_shows_whole_sentences_of_the_context(mini, samples):
    for sample, row in zip(samples, answered(mini, samples, [NAME]), strict=True):
        log = row[NAME]
        assert log.retrievals and all(round.heads == () and round.windows for round in log.retrievals)
        for window in (window for round in log.retrievals for window in round.windows):
            start, end = window.characters
            assert window.text == sample.prompt[start:end] and window.text.strip()[-1] in ".!?"
            assert sample.prompt[:start].rstrip()[-1] in ".!?:" or not sample.prompt[sample.context_span[0] : start].strip()
        assert 0 < log.shown < sample.context_span[1]


def test_a_window_strategy_costs_no_look_at_the_context(mini, samples, monkeypatch):
    """Its forwards: for each text a prefill and a step a token (and one for the end), and one over each draft."""
    written = []
    monkeypatch.setattr(Server, "observe", lambda *_: pytest.fail("the model was asked what it attends to"))
    monkeypatch.setattr(Server, "whole_prompts", lambda *_: pytest.fail("the whole context was prefilled"))
    plain = Server.write
    monkeypatch.setattr(Server, "write", lambda self, calls: written.append(found := plain(self, calls)) or found)
    ((log,),) = (row.values() for row in answered(mini, samples[:1], [NAME]))
    texts = [each for found in written for each in found]
    assert len(texts) == len(log.rounds) + len(log.retrievals)
    drafts = sum(round.rind is not None for round in log.rounds)
    assert log.forwards == sum(1 + len(each.tokens) + (each.stopped == "eos") for each in texts) + drafts


def test_others_answer_beside_it_as_without_it(mini, samples):
    without, beside = (answered(mini, samples, names) for names in (["oracle", "no-context"], [NAME, "oracle", "no-context"]))
    for one, other in zip(without, beside, strict=True):
        for name in one:
            assert (one[name].tokens, one[name].shown, one[name].forwards) == (other[name].tokens, other[name].shown, other[name].forwards)
            assert [round.windows for round in one[name].rounds] == [round.windows for round in other[name].rounds]


def test_what_is_no_strategy_cannot_be_registered():
    @dataclass(frozen=True)
    class Kindless(Strategy):
        pass

    class Bare(HeadStrategy):
        pass

    for kind in (Kindless, Bare):
        with pytest.raises(
            InputError, match=f"'no-kind' must be a frozen dataclass derived from one of HeadStrategy, .* got {kind.__name__}"
        ):
            strategy("no-kind")(kind)

    @dataclass(frozen=True)
    class Needy(WindowStrategy):
        needs = ("n",)

    with pytest.raises(InputError, match="'needy' says it needs 'n'; a need is one of n, seed, probe, ranking, and a field of the class"):
        strategy("needy")(Needy)
    with pytest.raises(InputError, match=r"'oracle' is mechdyn\.rag\.strategies\.OracleHeads already"):
        strategy("oracle")(Fixed)
    assert not {"no-kind", "needy"} & set(STRATEGIES.names())
