"""Samples from units: each task is the function of its name, and a question of a file is found by its id."""

import json

import pytest

from mechdyn.errors import InputError
from mechdyn.hashing import content_hash
from mechdyn.models.load import load_model
from mechdyn.tasks.hotpotqa import hotpotqa
from mechdyn.tasks.niah import niah
from mechdyn.tasks.task import build_sample, make_task
from mechdyn.tasks.world import world, world_items
from tests.bundled import mini_tokenizer


@pytest.fixture
def items():
    return world_items(4, seed=3)


@pytest.fixture
def file(tmp_path, items):
    path = tmp_path / "questions.json"
    path.write_text(json.dumps(items))
    return path


def spec(file, items, **changes):
    return {"task": "hotpotqa", "file": str(file), "file_digest": content_hash(items), "id": items[2]["_id"], "style": "direct", **changes}


def test_every_task_is_the_function_of_its_name(file, items):
    tokenizer = mini_tokenizer()
    arguments = {"length": 200, "depth": 0.3, "seed": 5}
    assert build_sample(tokenizer, {"task": "niah", **arguments}).key == niah(tokenizer, **arguments).key
    arguments = {"length": 300, "seed": 5, "needle_seed": 9, "style": "direct"}
    assert build_sample(tokenizer, {"task": "world", **arguments}).key == world(tokenizer, **arguments).key
    assert build_sample(tokenizer, spec(file, items)).key == hotpotqa(tokenizer, items[2], style="direct").key
    assert build_sample(tokenizer, spec(file, items, file_digest=None)).key == hotpotqa(tokenizer, items[2], style="direct").key


def test_a_file_that_changed_is_refused(file, items):
    named = spec(file, items)
    items[2]["answer"] = "someone else"
    file.write_text(json.dumps(items))
    with pytest.raises(InputError, match=r"questions .*questions.json changed: they were [0-9a-f]{16} and are [0-9a-f]{16}"):
        build_sample(mini_tokenizer(), named)


BAD = {
    "unknown task": ({"task": "haystacks"}, "unknown task 'haystacks'; give one of citations, decoys, hotpotqa, .*, world"),
    "unknown id": ({"id": "nobody"}, r"hold no question with the id 'nobody'; give one of its 4 ids"),
    "no file": ({"file": "nowhere.json"}, r"questions nowhere.json cannot be read"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_built_is_one_line(file, items, case):
    changes, message = BAD[case]
    with pytest.raises(InputError, match=message):
        build_sample(mini_tokenizer(), spec(file, items) | changes if changes and "task" not in changes else changes)


def test_malformed_questions_are_left_out_on_request(run, file, items):
    spoiled = [*items, {**items[0], "_id": "spoiled", "supporting_facts": [["No such title", 0]]}]
    file.write_text(json.dumps(spoiled))
    words = ["trace", "--data", str(file), "--max-new-tokens", "2", "--no-show"]
    code, _, err = run(*words, "--task", "hotpotqa", "--out", "refused")
    assert code == 2 and "question spoiled" in err and "questions.json" in err
    code, out, err = run(*words, "--task", "hotpotqa:malformed=skip", "--out", "skipped")
    assert code == 0, err
    assert items[0]["answer"] in out
    found = make_task("hotpotqa", data=str(file), malformed="skip").prepare(load_model("mini"), 2)
    assert found.ids == tuple(item["_id"] for item in items) and found.digest == content_hash(items)
    with pytest.raises(InputError, match="malformed must be one of error, skip, got 'drop'"):
        make_task("hotpotqa", data=str(file), malformed="drop").prepare(load_model("mini"), 2)
