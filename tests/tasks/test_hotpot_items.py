"""Reading HotpotQA's layout, and what is said about a file that is not in it."""

import copy
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mechdyn.errors import InputError
from mechdyn.tasks.hotpot_items import check_item, load_items, read_items
from mechdyn.tasks.hotpotqa import hotpotqa
from tests.tokenizers import tokenizer_styles


def valid() -> dict[str, Any]:
    return {
        "_id": "q1",
        "question": "Where was the founder of Wren Mill born?",
        "answer": "Ashford",
        "type": "bridge",
        "level": "hard",
        "supporting_facts": [["Wren Mill", 0], ["Ada Lunt", 1]],
        "context": [
            ["Wren Mill", ["Ada Lunt founded Wren Mill.", " It is red."]],
            ["Ada Lunt", ["", " She was born in Ashford."]],
            ["Other &amp; Co", []],
        ],
    }


def written(folder: Path, content: Any) -> Path:
    path = folder / "questions.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_hindrance(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "questions.json"
    path.write_bytes(json.dumps([valid()]).encode(encoding))
    assert read_items(path) == [valid()]


def test_items_come_back_as_they_were_written(tmp_path: Path) -> None:
    items = [valid(), valid() | {"_id": "q2", "extra": [1]}]
    assert read_items(written(tmp_path, items)) == items
    assert read_items(str(written(tmp_path, items))) == items


def _drop(field: str) -> Callable[[dict[str, Any]], None]:
    return lambda item: item.pop(field)


def _put(field: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda item: item.update({field: value})


MALFORMED = [
    (_drop("question"), "question q1: field 'question' must be text, got nothing (it is missing)"),
    (_drop("answer"), "question q1: field 'answer' must be text, got nothing (it is missing)"),
    (_drop("context"), "question q1: field 'context' must be a list with at least one pair, got nothing (it is missing)"),
    (_drop("supporting_facts"), "question q1: field 'supporting_facts' must be a list with at least one pair, got nothing (it is missing)"),
    (_drop("_id"), "item 1: field '_id' must be text of one line, got nothing (it is missing)"),
    (_put("_id", 7), "item 1: field '_id' must be text of one line, got 7"),
    (_put("_id", "a\nb"), "item 1: field '_id' must be text of one line, got 'a\\nb'"),
    (_put("answer", float("nan")), "question q1: field 'answer' must be text, got nan"),
    (_put("question", "half \ud83d"), "question q1: field 'question' must be text, got 'half \\ud83d'"),
    (_put("type", 3), "question q1: field 'type' must be text or left out, got 3"),
    (_put("level", float("nan")), "question q1: field 'level' must be text or left out, got nan"),
    (_put("question", json.loads("[" * 900 + "]" * 900)), "question q1: field 'question' must be text, got [[[[[...]]]]]"),
    (_put("context", json.loads("[" * 900 + "]" * 900)), "paragraph 0: a paragraph is [title, [sentence, ...]], got [[[[[...]]]]]"),
    (_put("context", [["A", ["\udc00"]]]), "field 'context', paragraph 0: a sentence is text, got '\\udc00'"),
    (_put("supporting_facts", [["Ada Lunt", float("nan")]]), "a fact is [title, sentence index], got ['Ada Lunt', nan]"),
    (_put("supporting_facts", [["Ada Lunt", 1.0]]), "a fact is [title, sentence index], got ['Ada Lunt', 1.0]"),
    (_put("supporting_facts", [["Ada Lunt", 10**30]]), "'supporting_facts' names sentence 1000000000000000000000000000000 of 'Ada Lunt'"),
    (_put("supporting_facts", {"title": ["Ada Lunt"], "sent_id": [1]}), "'supporting_facts' must be a list with at least one pair, got {'"),
    (_put("answer", " "), "question q1: field 'answer' must be text, got ' '"),
    (_put("question", None), "question q1: field 'question' must be text, got None"),
    (_put("context", []), "question q1: field 'context' must be a list with at least one pair, got []"),
    (_put("context", {"title": []}), "question q1: field 'context' must be a list"),
    (_put("supporting_facts", []), "question q1: field 'supporting_facts' must be a list with at least one pair, got []"),
    (_put("context", ["text"]), "field 'context', paragraph 0: a paragraph is [title, [sentence, ...]], got 'text'"),
    (_put("context", [["A", "text"]]), "field 'context', paragraph 0: sentences are a list of texts, got 'text'"),
    (_put("context", [["A", ["a", 3]]]), "field 'context', paragraph 0: a sentence is text, got 3"),
    (_put("context", [[None, ["a"]]]), "field 'context', paragraph 0: a title is text, got None"),
    (
        _put("supporting_facts", [["Ada Lunt", 2]]),
        "'supporting_facts' names sentence 2 of 'Ada Lunt', which has 2 sentences, counted from 0",
    ),
    (_put("supporting_facts", [["Ada Lunt", -1]]), "'supporting_facts' names sentence -1 of 'Ada Lunt'"),
    (_put("supporting_facts", [["Other &amp; Co", 0]]), "names sentence 0 of 'Other &amp; Co', which has 0 sentences"),
    (_put("supporting_facts", [["Other & Co", 0]]), "'supporting_facts' names the title 'Other & Co', which no paragraph of 'context' has"),
    (_put("supporting_facts", [["Ada Lunt", "1"]]), "'supporting_facts': a fact is [title, sentence index], got ['Ada Lunt', '1']"),
    (_put("supporting_facts", [["Ada Lunt", True]]), "a fact is [title, sentence index], got ['Ada Lunt', True]"),
    (_put("supporting_facts", [["Ada Lunt", 1, 2]]), "a fact is [title, sentence index], got ['Ada Lunt', 1, 2]"),
    (_put("supporting_facts", [[["Ada Lunt"], 1]]), "a fact is [title, sentence index], got [['Ada Lunt'], 1]"),
    (lambda item: item["context"].append(["Ada Lunt", ["Else."]]), "'context' has 2 different paragraphs with the title 'Ada Lunt'"),
    (lambda item: item["context"].append(item["context"][1]), "names the title 'Ada Lunt', which 2 paragraphs of 'context' have"),
    (lambda item: item["context"].append(["Other &amp; Co", ["x"]]), "2 different paragraphs with the title 'Other &amp; Co'"),
]


@pytest.mark.parametrize(("spoil", "message"), MALFORMED, ids=[message for _, message in MALFORMED])
def test_one_line_names_the_question_and_the_field(tmp_path: Path, spoil: Callable[[dict[str, Any]], None], message: str) -> None:
    spoiled = valid()
    spoil(spoiled)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        read_items(written(tmp_path, [valid() | {"_id": "q0"}, spoiled]))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    with pytest.raises(InputError):
        hotpotqa(tokenizer_styles()["byte_bpe"], spoiled)


def test_a_paragraph_may_come_twice_where_no_fact_names_it() -> None:
    item = valid()
    item["context"].append(copy.deepcopy(item["context"][2]))
    check_item(item)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"[]", "must hold a list with at least one question, got an empty list"),
        (b"", "are not JSON (Expecting value: line 1 column 1 (char 0))"),
        (b'[{"_id": "q1",}]', "are not JSON ("),
        (b'{"_id": "q1"}\n{"_id": "q2"}', "(char 14)); put its lines, which are JSON each, into one list"),
        (b'{"_id": "q1"}\nmore', "(char 14)); put its lines"),
        (b'{"_id": "q1"}]', "are not JSON (Extra data: line 1 column 14 (char 13)); give a JSON file"),
        (b'[{"_id": "q1"}', "are not JSON ("),
        (b'[{"_id": ' + b"1" * 5000 + b"}]", "are not JSON (Exceeds the limit"),
        (b'{"data": []}', "must hold a list with at least one question, got a JSON dict"),
        (b"null", "got a JSON NoneType"),
        (b"[3]", "item 0 must be an object with the fields of HotpotQA's layout, got int"),
        (b'["\xff\xfe\xfa"]', "are not JSON ("),
        (b"[" * 100_000, "are not JSON ("),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_files_that_hold_no_questions(tmp_path: Path, raw: bytes, message: str) -> None:
    path = tmp_path / "questions.json"
    path.write_bytes(raw)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        read_items(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read \(No such file or directory\)"):
        read_items(tmp_path / "none.json")
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\)"):
        read_items(tmp_path)


def test_ids_must_differ(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="question q1: field '_id' comes twice"):
        read_items(written(tmp_path, [valid(), valid()]))


def test_malformed_questions_are_left_out_on_request_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    items = [valid() | {"_id": f"q{number}"} for number in range(9)]
    broken: list[Any] = [*items[:6], 3, *items[6:], items[2]]
    broken[1] = {name: value for name, value in items[1].items() if name != "answer"}
    broken[4] = items[4] | {"context": []}
    path = written(tmp_path, broken)
    with caplog.at_level(logging.WARNING):
        assert read_items(path, malformed="skip") == [item for item in items if item["_id"] not in ("q1", "q4")]
    (record,) = caplog.records
    said = record.getMessage()
    assert said.startswith(f"questions {path}: left out 4 of 11 malformed questions: question q1: field 'answer' must be text")
    assert "; question q4: field 'context'" in said and "; item 6 must be an object" in said and said.endswith("; and 1 more")
    with pytest.raises(InputError, match=r"questions .*: question q1: field 'answer' must be text"):
        read_items(path)


def test_a_sound_file_is_read_the_same_either_way(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path, [valid()])
    assert load_items(path, malformed="skip") == load_items(path) == [valid()]
    assert not caplog.records


def test_a_file_of_malformed_questions_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none of 2 questions is of HotpotQA's layout \(item 0 must be an object"):
        read_items(written(tmp_path, [1, 2]), malformed="skip")
    with pytest.raises(InputError, match="malformed must be one of error, skip, got 'ignore'"):
        read_items(tmp_path / "none.json", malformed="ignore")
