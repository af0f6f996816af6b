"""Algorithm 1 with a model that follows a script: what is asked, what is kept, and when it ends."""

import pytest

from mechdyn.rag.calls import Attend, Observe, Write
from mechdyn.rag.strategies import FullContext, NoContext
from tests.rag.scripted import Script, ids, said

ONE, TWO, THREE = "The mill is in Bordford.", " The owner of the mill is Carla Benson.", " So the answer is Carla Benson."


def test_a_draft_without_doubt_is_the_answer():
    script = Script(said(ONE + TWO))
    log = script.run()
    assert (log.text, log.stopped, log.retrievals, log.shown) == (ONE + TWO, "eos", (), 0)
    assert [type(call) for call in script.asked] == [Write, Attend], "no look at the context"
    assert script.asked[0].shown == () and script.asked[0].limit == 128


def test_sentences_before_the_flagged_one_are_kept_and_the_first_new_one_takes_its_place():
    script = Script(
        said(ONE + TWO + THREE, doubt=["Carla Benson"]),
        said(" The owner of the mill is Dora Finch. And a sentence too many was begun", "sentence"),
        said(" So the answer is Dora Finch."),
    )
    log = script.run()
    assert log.text == ONE + " The owner of the mill is Dora Finch. So the answer is Dora Finch."
    assert log.stopped == "eos"
    (retrieval,) = log.retrievals
    assert retrieval.kept == ONE and retrieval.rewritten == " The owner of the mill is Dora Finch."
    assert retrieval.rind.first_flagged == 1
    (look,) = script.of(Observe)
    assert look.kept == ids(ONE), "the look is from behind what was kept"
    draft, rewrite, next_draft = script.of(Write)
    assert rewrite.kept == ids(ONE) and rewrite.first_sentence and not draft.first_sentence
    assert rewrite.limit == 128 - len(ids(ONE))
    assert next_draft.kept == ids(ONE) + ids(" The owner of the mill is Dora Finch.")
    assert next_draft.shown == (), "masked again for the next draft"


def test_the_windows_shown_are_those_of_the_strongest_positions_and_are_logged():
    script = Script(said(ONE, doubt=["Bordford"]), said(ONE), k=2, window=3)
    log = script.run()
    context = script.context
    rewrite = script.of(Write)[1]
    assert rewrite.shown == ((context.end - 4, context.end),), "attention rises to the end, where the window is clipped"
    (window,) = log.retrievals[0].windows
    assert window.tokens == (context.end - 4, context.end)
    start, end = window.characters
    assert context.sample.prompt[start:end] == window.text
    assert log.shown == 4
    assert len(log.retrievals[0].heads) == 5


def test_a_draft_behind_a_rewritten_sentence_may_keep_the_windows():
    script = Script(said(ONE, doubt=["Bordford"]), said(ONE + " X", "sentence"), said(TWO), draft="windows", k=1, window=0)
    script.run()
    draft, rewrite, next_draft = script.of(Write)
    assert draft.shown == () and next_draft.shown == rewrite.shown != ()


@pytest.mark.parametrize("ended", ["eos", "length"])
def test_a_rewritten_sentence_that_ends_the_text_ends_the_answer(ended):
    script = Script(said(ONE, doubt=["Bordford"]), said(TWO, ended))
    log = script.run()
    assert (log.text, log.stopped, len(log.rounds)) == (TWO, ended, 1)


def test_a_text_that_ends_behind_its_first_sentence_goes_on():
    """The model would have said more; only its first sentence is kept, so a draft must follow."""
    script = Script(said(ONE, doubt=["Bordford"]), said(ONE + TWO, "eos"), said(""))
    log = script.run()
    assert (log.text, log.stopped) == (ONE, "eos")
    assert log.rounds[-1].rind is None and not log.rounds[-1].retrieved


def test_an_empty_first_draft_is_an_empty_answer():
    log = Script(said("")).run()
    assert (log.text, log.tokens, log.stopped, len(log.rounds)) == ("", (), "eos", 1)


def test_an_empty_rewrite_ends_the_answer():
    log = Script(said(ONE + TWO, doubt=["Carla"]), said("")).run()
    assert (log.text, log.stopped) == (ONE, "eos")


def test_doubt_without_end_meets_the_bound_and_says_so():
    endless = [said(f" The mill is in Town{n}.", doubt=[f"Town{n}"]) for n in range(20)]
    rewrites = [said(f" It is in Place{n}. And", "sentence") for n in range(20)]
    script = Script(*(text for pair in zip(endless, rewrites, strict=True) for text in pair), max_sentences=3)
    log = script.run()
    assert log.stopped == "rounds" and len(log.rounds) == 4
    assert log.text == " It is in Place0. It is in Place1. It is in Place2. It is in Place3."


@pytest.mark.parametrize("place", ["draft", "rewrite"])
def test_a_failed_forward_ends_the_answer_as_failed(place):
    failed = said(" The", "error")
    script = Script(failed) if place == "draft" else Script(said(ONE, doubt=["Bordford"]), failed)
    assert script.run().stopped == "error"


def test_rows_of_generation_are_asked_for_where_they_are_the_attention():
    script = Script(said(ONE), attention="full")
    script.run()
    assert script.of(Write)[0].rows and not script.of(Attend)


@pytest.mark.parametrize(("strategy", "whole"), [(NoContext(), False), (FullContext(), True)])
def test_without_retrieval_there_is_one_text(strategy, whole):
    script = Script(said(ONE + TWO, doubt=["Carla"]))
    log = script.run(strategy)
    (write,) = script.asked
    assert write.shown == (script.context.whole if whole else ())
    assert (log.text, log.rounds, log.shown) == (ONE + TWO, (), len(script.context) if whole else 0)


def test_text_mode_asks_for_cut_prompts():
    script = Script(said(ONE, doubt=["Bordford"]), said(TWO), mode="text")
    script.run()
    assert all(write.cut for write in script.of(Write))
