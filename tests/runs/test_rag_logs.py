"""Answers on disk: appended, read back, whole after a kill."""

import dataclasses

import pytest

from mechdyn.errors import InputError, StoreError
from mechdyn.rag.visibility import record
from mechdyn.runs.rag_logs import RagLogs
from tests.rag.scripted import Script
from tests.rag.test_log import made_log


@pytest.fixture(scope="module")
def log():
    return made_log()


def numbered(log, name, n):
    return [dataclasses.replace(log, strategy=name, sample=f"s{place}", rounds=()) for place in range(n)]


def test_answers_come_back_by_sample_and_condition(tmp_path, log):
    store = RagLogs(tmp_path)
    store.append([*numbered(log, "static", 2), *numbered(log, "oracle, k 4", 1)])
    store.append(numbered(log, "static", 3)[2:])
    assert list(store.read("static")) == ["s0", "s1", "s2"]
    assert store.read("oracle, k 4")["s0"] == numbered(log, "oracle, k 4", 1)[0]
    assert store.read("dynamic") == {}


def test_conditions_that_differ_in_a_sign_only_have_files_of_their_own(tmp_path, log):
    store = RagLogs(tmp_path)
    store.append([*numbered(log, "oracle:n=2", 1), *numbered(log, "oracle_n_2", 2)])
    assert [len(store.read(name)) for name in ("oracle:n=2", "oracle_n_2", "oracle n=2")] == [1, 2, 0]


def test_a_line_that_a_kill_cut_off_is_as_if_it_had_not_been(tmp_path, log):
    store = RagLogs(tmp_path)
    store.append(numbered(log, "static", 3))
    path = tmp_path / "logs" / "static.jsonl"
    path.write_bytes(path.read_bytes()[:-7])
    assert list(store.read("static")) == ["s0", "s1"]
    store.append(numbered(log, "static", 3)[2:])
    assert list(store.read("static")) == ["s0", "s1", "s2"]
    assert path.read_text().count("\n") == 3


@pytest.mark.parametrize("line", ['{"sample": 1}\n', "no json\n", "[]\n", "3\n", '{"a":' * 9999 + "\n"])
def test_a_damaged_file_is_an_error(tmp_path, log, line):
    store = RagLogs(tmp_path)
    store.append(numbered(log, "static", 1))
    with (tmp_path / "logs" / "static.jsonl").open("a") as file:
        file.write(line)
    with pytest.raises(StoreError, match=r"static\.jsonl is damaged"):
        store.read("static")


def test_a_changed_answer_is_found(tmp_path, log):
    store = RagLogs(tmp_path)
    store.append(numbered(log, "static", 2))
    path = tmp_path / "logs" / "static.jsonl"
    path.write_text(path.read_text().replace("s1", "s2", 1))
    with pytest.raises(StoreError, match=r"static\.jsonl is damaged .*not what was written"):
        store.read("static")


def test_questions_are_kept_beside(tmp_path):
    question = record(Script().context)
    store = RagLogs(tmp_path)
    store.write_questions([question])
    assert store.questions() == [question]


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path, log):
    (tmp_path / "logs").write_text("a file")
    with pytest.raises(InputError, match="cannot be written"):
        RagLogs(tmp_path).append(numbered(log, "static", 1))
