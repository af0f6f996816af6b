"""Reading HotpotQA's layout, and what is said about a file that is not in it."""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from mechdyn.errors import InputError
from mechdyn.tasks.hotpot_items import check_item, from_hub, official_layout, read_items
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


def columns(item: dict[str, Any]) -> dict[str, Any]:
    """The same item as a row of the hub's dataset."""
    return {
        "id": item["_id"],
        **{field: item[field] for field in ("question", "answer", "type", "level")},
        "supporting_facts": {
            "title": [title for title, _ in item["supporting_facts"]],
            "sent_id": [i for _, i in item["supporting_facts"]],
        },
        "context": {"title": [title for title, _ in item["context"]], "sentences": [sentences for _, sentences in item["context"]]},
    }


def written(folder: Path, content: Any) -> Path:
    path = folder / "questions.json"
    path.write_text(json.dumps(content))
    return path


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
    (_drop("_id"), "item 1: field '_id' must be text, got nothing (it is missing)"),
    (_put("_id", 7), "item 1: field '_id' must be text, got 7"),
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
        (b'{"_id": "q1"}\n{"_id": "q2"}', "are not JSON (Extra data: line 2"),
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


def test_a_hub_row_is_the_official_item() -> None:
    assert official_layout(columns(valid())) == valid()


def test_questions_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [valid(), valid() | {"_id": "q2"}]
    asked = {}

    def load_dataset(name: str, config: str, **options: Any) -> datasets.Dataset:
        asked.update(options, name=name, config=config)
        return datasets.Dataset.from_list([columns(item) for item in items])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert from_hub(split="train", revision="abc") == items
    assert asked == {"name": "hotpotqa/hotpot_qa", "config": "distractor", "split": "train", "revision": "abc"}


def test_hub_datasets_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer_with(result: Any) -> None:
        def load_dataset(*_: Any, **__: Any) -> Any:
            if isinstance(result, Exception):
                raise result
            return result

        monkeypatch.setattr(datasets, "load_dataset", load_dataset)

    answer_with(ConnectionError("no route\nto the hub"))
    with pytest.raises(InputError, match=r"dataset a/b \(distractor, validation\) cannot be loaded: no route; give a local file") as caught:
        from_hub("a/b")
    assert "\n" not in str(caught.value)
    answer_with([])
    with pytest.raises(InputError, match="holds no question; choose another split"):
        from_hub("a/b")
    answer_with([{"id": "q1", "question": "?", "context": "text"}])
    with pytest.raises(InputError, match="question q1: field 'context' must have the columns title and sentences"):
        from_hub("a/b")
    row = columns(valid())
    row["supporting_facts"]["sent_id"].pop()
    answer_with([row])
    with pytest.raises(InputError, match="question q1: field 'supporting_facts' has 2 of title and 1 of sent_id"):
        from_hub("a/b")
