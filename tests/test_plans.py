"""Units of every task: parts that share no sample, retests that repeat the needle, keys free of paths."""

import dataclasses

import pytest

from mechdyn.claims.dynamism import Dynamism
from mechdyn.errors import InputError
from mechdyn.plans import DETECTION, EVALUATION, Preset, Request, chosen_preset, retest_units, task_units
from mechdyn.scores.score import as_score
from mechdyn.tasks.hotpotqa import HotpotQA
from mechdyn.tasks.niah import Niah
from mechdyn.tasks.task import RETEST
from mechdyn.tasks.world import WorldTask

PRESET = Preset((256, 512), n_seeds=2, depths=(0.1, 0.5, 0.9))
IDS = tuple(f"q{index}" for index in range(100))


FILE = HotpotQA(data="/somewhere/questions.json", digest="0" * 16, ids=IDS)
TASKS = {"niah": Niah(), "world": WorldTask(), "hotpotqa": FILE}


def request_for(task, **changes):
    return Request({"name": "m", "revision": "1"}, TASKS[task] if isinstance(task, str) else task, **changes)


@pytest.mark.parametrize("task", TASKS)
def test_parts_share_no_sample(task):
    request = request_for(task)
    evaluation, detection = (task_units(request, PRESET, part) for part in (EVALUATION, DETECTION))
    assert len(evaluation) == len(detection) == len(PRESET.cells)
    assert len({unit.key for unit in (*evaluation, *detection, *retest_units(request, PRESET))}) in (24, 36)
    assert [unit.key for unit in task_units(request, PRESET, EVALUATION)] == [unit.key for unit in evaluation]
    assert {unit.sample["task"] for unit in evaluation} == {task}


def test_needles_have_the_cells_and_their_part_s_own_seeds():
    units = task_units(request_for("niah", seed=2), PRESET, DETECTION)
    wanted = [{"task": "niah", "length": length, "depth": depth, "seed": 7_000_000 + i} for i, (length, depth) in enumerate(PRESET.cells)]
    assert [dict(unit.sample) for unit in units] == wanted
    assert {(unit.decoding["score"], unit.decoding["max_new_tokens"]) for unit in units} == {("copy_paste", 64)}


def test_what_the_user_chose_takes_the_place_of_the_task_s_own():
    request = request_for("niah", score="reasoning", threshold=0.25, max_new_tokens=9, lengths=(64,), depths=(0.5,), runs=3)
    preset = chosen_preset({"quick": PRESET}, request)
    assert preset == Preset((64,), n_seeds=3, depths=(0.5,))
    (first, *_) = task_units(request, preset, EVALUATION)
    assert first.decoding == {"score": {"name": "reasoning", "sink": 4, "local": 32}, "threshold": 0.25, "max_new_tokens": 9}
    with pytest.raises(InputError, match="unknown preset 'huge'; give one of quick"):
        chosen_preset({"quick": PRESET}, request_for("niah", preset="huge"))


@pytest.mark.parametrize("task", ["world", "hotpotqa"])
def test_questions_are_scored_by_reasoning_unless_asked_otherwise(task):
    (first, *_) = task_units(request_for(task), PRESET, EVALUATION)
    assert first.decoding["score"] == {"name": "reasoning", "sink": 4, "local": 32} == dict(as_score("reasoning").spec)
    other = {"name": "reasoning", "sink": 16, "local": 32}
    (first, *_) = task_units(request_for(task, score=other), PRESET, EVALUATION)
    assert first.decoding["score"] == other


def test_the_world_is_retested_with_the_same_question_elsewhere():
    request = request_for(WorldTask(style="direct"))
    evaluation, retest = task_units(request, PRESET, EVALUATION), retest_units(request, PRESET)
    for first, second in zip(evaluation, retest, strict=True):
        assert second.sample == {**first.sample, "seed": second.sample["seed"], "needle_seed": first.sample["seed"]}
        assert second.sample["seed"] != first.sample["seed"] and first.sample["style"] == "direct"


def test_the_retest_of_a_files_questions_is_another_order_of_their_paragraphs():
    request = request_for("hotpotqa")
    evaluation, retest = task_units(request, PRESET, EVALUATION), retest_units(request, PRESET)
    orders = [second.sample["order"] for second in retest]
    assert [second.sample for second in retest] == [
        {**first.sample, "order": order} for first, order in zip(evaluation, orders, strict=True)
    ]
    assert len(set(orders)) == len(orders) == len(evaluation)
    assert set(Dynamism().plan(request).roles) == {"detection", "evaluation", "retest"}
    with pytest.raises(InputError, match="the items of a file are shared between 2 parts, got the part 2"):
        task_units(request, PRESET, RETEST)


@pytest.mark.parametrize("n", [2, 5, 23, 24, 100])
def test_few_questions_are_shared_out_evenly(n):
    request = request_for(dataclasses.replace(FILE, ids=IDS[:n]))
    parts = [{unit.sample["id"] for unit in task_units(request, PRESET, part)} for part in (EVALUATION, DETECTION)]
    assert len(parts[0]) == len(parts[1]) == min(12, n // 2)
    assert not parts[0] & parts[1]
    alone = task_units(request, PRESET, EVALUATION, n_parts=1)
    assert len({unit.sample["id"] for unit in alone}) == min(12, n)


def test_one_question_is_too_few():
    with pytest.raises(InputError, match=r"a plan needs at least 2 items of /somewhere/questions\.json that the model can hold, got 1"):
        task_units(request_for(dataclasses.replace(FILE, ids=IDS[:1])), PRESET, EVALUATION)


def test_another_seed_draws_other_questions():
    drawn = [[unit.sample["id"] for unit in task_units(request_for("hotpotqa", seed=seed), PRESET, EVALUATION)] for seed in (0, 1)]
    assert drawn[0] != drawn[1]


def test_a_file_elsewhere_has_the_same_keys_and_other_content_others():
    request = request_for("hotpotqa")
    keys = [unit.key for unit in task_units(request, PRESET, EVALUATION)]
    moved = request_for(dataclasses.replace(FILE, data="/elsewhere/q.json"))
    assert [unit.key for unit in task_units(moved, PRESET, EVALUATION)] == keys
    changed = request_for(dataclasses.replace(FILE, digest="1" * 16))
    assert not {unit.key for unit in task_units(changed, PRESET, EVALUATION)} & set(keys)
