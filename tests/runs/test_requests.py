"""What a user chose becomes a request, or one clear line."""

import dataclasses
import json

import pytest

from mechdyn.errors import InputError
from mechdyn.hashing import content_hash
from mechdyn.models.load import wrap_model
from mechdyn.runs.requests import check_choices, make_request
from mechdyn.tasks.hotpotqa import hotpotqa
from mechdyn.tasks.world import world_items
from tests.architectures import tiny_model
from tests.bundled import mini_tokenizer

BAD = {
    "unknown task": ({"task": "trivia"}, "unknown task 'trivia'; give one of niah, world, hotpotqa"),
    "no file": ({"task": "hotpotqa"}, "task hotpotqa needs a file of questions .* --data FILE"),
    "file without need": ({"task": "world", "data": "q.json"}, "task world has no use for --data"),
    "unknown style": ({"task": "world", "style": "verse"}, "style must be one of rationale, direct, got 'verse'"),
    "style of a needle": ({"task": "niah", "style": "direct"}, "task niah has no use for --style"),
    "haystack of a world": ({"task": "world", "haystack": "h.txt"}, "task world has no use for --haystack"),
    "length of a file": ({"task": "hotpotqa", "data": "q.json", "lengths": (256,)}, "task hotpotqa has no use for --length"),
    "depth of a world": ({"task": "world", "depths": (0.5,)}, "task world has no use for --depth"),
}


def model_of(n_ctx):
    return dataclasses.replace(wrap_model(tiny_model("llama3.1"), mini_tokenizer(), name="tiny", revision="1"), n_ctx=n_ctx)


@pytest.mark.parametrize("case", BAD)
def test_choices_that_do_not_go_together_are_one_line(case):
    choices, message = BAD[case]
    with pytest.raises(InputError, match=message):
        check_choices(**choices)


def test_questions_that_the_model_cannot_hold_are_left_out_and_counted(tmp_path, caplog):
    items = world_items(6, seed=1, n_chains=1) + [{**item, "_id": f"long-{item['_id']}"} for item in world_items(3, seed=2, n_chains=8)]
    file = tmp_path / "questions.json"
    file.write_text(json.dumps(items))
    longest = max(len(hotpotqa(mini_tokenizer(), item)) for item in items[:6])
    request = make_request(model_of(longest + 128), task="hotpotqa", data=str(file))
    assert caplog.messages == [
        f"3 of the 9 questions of {file} are left out: with room for the answer they are longer than the model's context "
        f"of {longest + 128} positions"
    ]
    assert request.questions == tuple(item["_id"] for item in items[:6])
    assert (request.data_digest, request.style) == (content_hash(items), "rationale")
    with pytest.raises(InputError, match=r"the model holds 0 of the 9 questions of .* context of 100 positions, and 2 are needed"):
        make_request(model_of(100), task="hotpotqa", data=str(file))


def test_needles_need_nothing_more():
    request = make_request(model_of(2048), lengths=(256,), seed=4)
    assert dataclasses.asdict(request)["task"] == "niah"
    assert (request.lengths, request.seed, request.questions, request.data_digest) == ((256,), 4, (), None)
