"""Logs are JSON and come back as they were."""

import json

from mechdyn.rag.log import log_from_json, question_from_json
from mechdyn.rag.visibility import record
from tests.rag.scripted import Script, said


def made_log():
    return Script(
        said("The mill is in Bordford. It is old.", doubt=["Bordford"]), said("A <b>café</b> & “mill”.", "eos"), max_new_tokens=60
    ).run()


def test_a_log_comes_back_from_json():
    log = made_log()
    back = log_from_json(json.loads(json.dumps(log.as_json(), allow_nan=False)))
    assert back.rounds[0].windows == log.rounds[0].windows and back.tokens == log.tokens
    for mine, theirs in zip(back.rounds[0].rind.words, log.rounds[0].rind.words, strict=True):
        assert (mine.text, mine.start, mine.end, mine.content, mine.sentence) == (
            theirs.text,
            theirs.start,
            theirs.end,
            theirs.content,
            theirs.sentence,
        )
        assert abs(mine.value - theirs.value) < 1e-5
    assert log_from_json(json.loads(json.dumps(back.as_json()))) == back


def test_a_question_comes_back_from_json():
    question = record(Script().context)
    assert question_from_json(json.loads(json.dumps(question.as_json()))) == question
    start, end = question.context
    assert all(start <= a < b <= end for a, b in question.facts)
