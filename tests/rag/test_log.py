"""Logs are JSON and come back as they were."""

import json
from copy import deepcopy

import pytest

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


@pytest.fixture(scope="module")
def written():
    content = json.loads(json.dumps(made_log().as_json()))
    assert content["rounds"][0]["windows"] and content["rounds"][0]["rind"]["words"]
    return content


def doctored(content, path, value):
    """A copy in which the value at a path of keys and places is another."""
    changed = deepcopy(content)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return changed


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("stopped",), "<img src=x onerror=alert(1)>", "stopped must be one of eos, length, rounds, error, got '<img"),
        (("stopped",), None, "stopped must be text, got None"),
        (("sample",), 1, "sample must be text, got 1"),
        (("tokens",), ["1"], "an item of tokens must be a whole number, got '1'"),
        (("tokens",), "12", "tokens must be a list, got '12'"),
        (("tokens",), [True], "an item of tokens must be a whole number, got True"),
        (("shown",), 1.5, r"shown must be a whole number, got 1\.5"),
        (("seconds",), "fast", "seconds must be a number, got 'fast'"),
        (("seconds",), float("nan"), "seconds must be a finite number, got nan"),
        (("meta",), [], r"meta must be an object, got \[\]"),
        (("rounds",), {"0": {}}, "rounds must be a list, got {"),
        (("rounds", 0), [], "an item of rounds must be an object"),
        (("rounds", 0, "retrieved"), "yes", "retrieved must be true or false, got 'yes'"),
        (("rounds", 0, "heads"), "L0H1", "heads must be a list, got 'L0H1'"),
        (("rounds", 0, "facts"), [None], "an item of facts must be a number, got None"),
        (("rounds", 0, "rind"), None, "a round retrieved, and none of its sentences is flagged"),
        (("rounds", 0, "rind", "flagged"), [7], "a round has 2 sentences and speaks of others"),
        (("rounds", 0, "rind", "words", 0, "sentence"), -1, "a round has 2 sentences and speaks of others"),
        (("rounds", 0, "rind", "words", 0, "value"), "high", "value must be a number, got 'high'"),
        (("rounds", 0, "rind", "sentences", 0, "text"), 3, "text must be text, got 3"),
        (("rounds", 0, "windows", 0, "tokens"), [1, 2, 3], "tokens must be 2 numbers, got 3"),
        (("rounds", 0, "windows", 0, "characters"), [0, "9"], "an item of characters must be a whole number"),
        (("more",), 1, "the log has an unknown field 'more'"),
    ],
)
def test_a_doctored_log_is_refused(written, path, value, message):
    with pytest.raises((TypeError, ValueError), match=message):
        log_from_json(doctored(written, path, value))


@pytest.mark.parametrize("lacking", ["sample", "stopped", "tokens", "shown"])
def test_a_log_that_lacks_a_field_is_refused(written, lacking):
    with pytest.raises(TypeError, match=lacking):
        log_from_json({name: value for name, value in written.items() if name != lacking})


@pytest.mark.parametrize("content", [None, [], 3, "log", {"facts": [[1, "2"]]}, {"context": [1]}, {"question": 5}])
def test_a_doctored_question_is_refused(content):
    whole = json.loads(json.dumps(record(Script().context).as_json()))
    with pytest.raises((TypeError, ValueError)):
        question_from_json(whole | content if isinstance(content, dict) else content)


def test_whole_numbers_stand_for_decimals_where_a_number_is_wanted(written):
    assert log_from_json(doctored(written, ("seconds",), 2)).seconds == 2
