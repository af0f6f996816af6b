"""Units of every task: parts that share no sample, retests that repeat the needle, keys free of paths."""

import dataclasses

import pytest

from mechdyn.claims.dynamism import Dynamism
from mechdyn.errors import InputError
from mechdyn.plans import DETECTION, EVALUATION, REASONING, RETEST, TASKS, Preset, Request, niah_unit, retest_units, sample_seed, task_units
from mechdyn.scores.score import as_score

PRESET = Preset((256, 512), n_seeds=2, depths=(0.1, 0.5, 0.9))
IDS = tuple(f"q{index}" for index in range(100))


def request_for(task, **changes):
    data = {"data": "/somewhere/questions.json", "data_digest": "0" * 16, "questions": IDS} if task == "hotpotqa" else {}
    return Request({"name": "m", "revision": "1"}, task=task, **{**data, **changes})


@pytest.mark.parametrize("task", TASKS)
def test_parts_share_no_sample(task):
    request = request_for(task)
    evaluation, detection = (task_units(request, PRESET, part) for part in (EVALUATION, DETECTION))
    assert len(evaluation) == len(detection) == len(PRESET.cells)
    assert len({unit.key for unit in (*evaluation, *detection, *retest_units(request, PRESET))}) in (24, 36)
    assert [unit.key for unit in task_units(request, PRESET, EVALUATION)] == [unit.key for unit in evaluation]
    assert {unit.sample["task"] for unit in evaluation} == {task}


def test_needle_units_are_those_of_niah():
    request = request_for("niah")
    wanted = [niah_unit(request, *cell, sample_seed(request, DETECTION, index)) for index, cell in enumerate(PRESET.cells)]
    assert [unit.key for unit in task_units(request, PRESET, DETECTION)] == [unit.key for unit in wanted]


@pytest.mark.parametrize("task", ["world", "hotpotqa"])
def test_questions_are_scored_by_reasoning_unless_asked_otherwise(task):
    (first, *_) = task_units(request_for(task), PRESET, EVALUATION)
    assert first.decoding["score"] == {"name": "reasoning", "sink": 4, "local": 32} == dict(as_score("reasoning").spec)
    other = {**REASONING, "sink": 16}
    (first, *_) = task_units(request_for(task, score=other), PRESET, EVALUATION)
    assert first.decoding["score"] == other


def test_the_world_is_retested_with_the_same_question_elsewhere():
    request = request_for("world", style="direct")
    evaluation, retest = task_units(request, PRESET, EVALUATION), retest_units(request, PRESET)
    for first, second in zip(evaluation, retest, strict=True):
        assert second.sample == {**first.sample, "seed": second.sample["seed"], "needle_seed": first.sample["seed"]}
        assert second.sample["seed"] != first.sample["seed"] and first.sample["style"] == "direct"


def test_questions_of_a_file_have_no_retest():
    request = request_for("hotpotqa")
    assert retest_units(request, PRESET) == ()
    assert set(Dynamism().plan(request).roles) == {"detection", "evaluation"}
    with pytest.raises(InputError, match="questions of a file are shared between 2 parts, got the part 2"):
        task_units(request, PRESET, RETEST)


@pytest.mark.parametrize("n", [2, 5, 23, 24, 100])
def test_few_questions_are_shared_out_evenly(n):
    request = request_for("hotpotqa", questions=IDS[:n])
    parts = [{unit.sample["id"] for unit in task_units(request, PRESET, part)} for part in (EVALUATION, DETECTION)]
    assert len(parts[0]) == len(parts[1]) == min(12, n // 2)
    assert not parts[0] & parts[1]
    alone = task_units(request, PRESET, EVALUATION, n_parts=1)
    assert len({unit.sample["id"] for unit in alone}) == min(12, n)


def test_one_question_is_too_few():
    with pytest.raises(InputError, match="a plan needs at least 2 questions that the model can hold, got 1"):
        task_units(request_for("hotpotqa", questions=IDS[:1]), PRESET, EVALUATION)


def test_another_seed_draws_other_questions():
    drawn = [[unit.sample["id"] for unit in task_units(request_for("hotpotqa", seed=seed), PRESET, EVALUATION)] for seed in (0, 1)]
    assert drawn[0] != drawn[1]


def test_a_file_elsewhere_has_the_same_keys_and_other_content_others():
    request = request_for("hotpotqa")
    keys = [unit.key for unit in task_units(request, PRESET, EVALUATION)]
    moved = dataclasses.replace(request, data="/elsewhere/q.json")
    assert [unit.key for unit in task_units(moved, PRESET, EVALUATION)] == keys
    changed = dataclasses.replace(request, data_digest="1" * 16)
    assert not {unit.key for unit in task_units(changed, PRESET, EVALUATION)} & set(keys)


def test_an_unknown_task_is_named():
    with pytest.raises(InputError, match="unknown task 'trivia'; give one of niah, world, hotpotqa"):
        task_units(request_for("trivia"), PRESET, EVALUATION)
