"""The plan of the ablation experiment: stages, the same samples everywhere, ablations that the engine reads as they are meant."""

from dataclasses import replace

import numpy as np
import pytest

from mechdyn.decoding.ablation import ablation_from_json
from mechdyn.plans import Request
from mechdyn.schedules import Dynamic, RandomHeads, SizeMatched, Static
from mechdyn.studies.conditions import (
    CLEAN,
    COMMITS,
    CONDITIONS,
    DETECTION_ROLE,
    DRAWS,
    DYNAMIC,
    PRESETS,
    RANDOM_AVERAGE,
    RANDOM_FIXED,
    RANDOM_LAYERS,
    RANDOM_MATCHED,
    STATIC_AVERAGE,
    STATIC_MATCHED,
    by_sample,
    detect,
    grid_plan,
    quality,
    role,
    schedules,
)
from mechdyn.tasks.niah import Niah
from tests.studies.made_up import MODEL, N_HEADS, N_LAYERS, made_up

REQUEST = Request(MODEL, Niah(), seed=3)
DETECTION = [made_up(seed) for seed in range(5)]


@pytest.fixture(scope="module")
def plan():
    return grid_plan(REQUEST, PRESETS["quick"], {DETECTION_ROLE: DETECTION})


def test_the_detection_set_comes_first_and_alone():
    first = grid_plan(REQUEST, PRESETS["quick"], {})
    assert list(first.roles) == [DETECTION_ROLE]


def test_a_detection_set_without_a_right_answer_names_nothing_more():
    wrong = [made_up(seed, right=False) for seed in range(5)]
    assert detect(wrong) is None
    assert list(grid_plan(REQUEST, PRESETS["quick"], {DETECTION_ROLE: wrong}).roles) == [DETECTION_ROLE]


def test_every_condition_has_the_same_samples_and_shares_none_with_the_detection_set(plan):
    assert set(plan.roles) == {DETECTION_ROLE, *(role(name, commit) for name in CONDITIONS for commit in COMMITS)}
    assert len(plan.roles) == 1 + 1 + 7 * 2
    evaluated = [unit.sample for unit in plan.roles[CLEAN]]
    for name, units in plan.roles.items():
        if name != DETECTION_ROLE:
            drawn = [unit.sample for unit in units]
            draws = DRAWS if name.startswith(RANDOM_LAYERS) else 1
            assert drawn[::draws] == evaluated and len(drawn) == draws * len(evaluated), name
    seeds = {unit.sample["seed"] for unit in plan.roles[DETECTION_ROLE]}
    assert not seeds & {sample["seed"] for sample in evaluated}
    assert len({unit.key for units in plan.roles.values() for unit in units}) == sum(map(len, plan.roles.values()))


def test_requests_of_other_seeds_share_no_sample(plan):
    other = grid_plan(Request(MODEL, Niah(), seed=4), PRESETS["quick"], {})
    mine = {unit.sample["seed"] for unit in plan.units}
    assert not mine & {unit.sample["seed"] for unit in other.units}


def test_the_plan_is_the_same_each_time_it_is_asked(plan):
    again = grid_plan(REQUEST, PRESETS["quick"], {DETECTION_ROLE: DETECTION})
    assert {name: [unit.key for unit in units] for name, units in again.roles.items()} == {
        name: [unit.key for unit in units] for name, units in plan.roles.items()
    }


def test_the_engine_reads_every_planned_ablation_unchanged(plan):
    for name, units in plan.roles.items():
        content = dict(units[0].ablation)
        read = ablation_from_json(content, N_LAYERS, N_HEADS)
        assert (read is None) == (name in (DETECTION_ROLE, CLEAN))
        if read is not None:
            assert read.as_json() == content
            assert (read.method, read.scope, name.endswith(f"commit {read.commit}")) == ("zero", "position", True)


def test_schedules_are_those_of_the_definitions(plan):
    found = detect(DETECTION)
    assert found.size == 3
    read = {name: ablation_from_json({"schedule": content}, N_LAYERS, N_HEADS).schedule for name, content in schedules(found, 3).items()}
    assert read[DYNAMIC] == Dynamic()
    assert read[STATIC_AVERAGE] == Static(found.ranking.top(3))
    assert read[RANDOM_AVERAGE] == RandomHeads(3, seed=3)
    assert read[RANDOM_FIXED] == RandomHeads(3, seed=3, fresh=False)
    assert read[RANDOM_LAYERS] == RandomHeads(0, seed=3, matched="layer", exclude="active")
    assert read[RANDOM_MATCHED] == SizeMatched(RandomHeads(0, seed=3, exclude="active"))
    assert isinstance(read[STATIC_MATCHED], SizeMatched)
    assert read[STATIC_MATCHED].of.heads == found.ranking.heads


def test_judged_random_heads_have_ten_draws_a_sample_and_fixed_ones_share_ten(plan):
    by_layer = [unit.ablation["schedule"]["seed"] for unit in plan.roles[role(RANDOM_LAYERS, "clean")]]
    assert len(set(by_layer)) == 10 and by_layer[:10] == by_layer[10:20] and len(set(by_layer[:10])) == 10
    samples = [unit.sample["seed"] for unit in plan.roles[role(RANDOM_LAYERS, "clean")]]
    assert len(set(samples[:10])) == 1 and samples[0] != samples[10]
    fixed = [unit.ablation["schedule"]["seed"] for unit in plan.roles[role(RANDOM_FIXED, "clean")]]
    assert len(set(fixed)) == 10 and fixed[:10] == fixed[10:20]
    fewer = grid_plan(REQUEST, PRESETS["quick"], {DETECTION_ROLE: DETECTION}, draws=2)
    assert len(fewer.roles[role(RANDOM_LAYERS, "clean")]) == 2 * len(fewer.roles[CLEAN])


def test_draws_of_a_sample_count_with_their_mean_and_failed_ones_not_at_all():
    draws = [made_up(1), made_up(1, right=False), made_up(1, right=False), replace(made_up(1), stopped="error")]
    values = quality([*draws, made_up(2), replace(made_up(3), stopped="error")], "niah")["accuracy"]
    assert values == pytest.approx([1 / 3, 1.0, np.nan], nan_ok=True)
    assert [len(group) for group in by_sample([*draws, made_up(2)])] == [4, 1]


def test_only_right_answers_rank_heads():
    misleading = made_up(99, right=False)
    misleading.retrieval_scores[:] = 0.0
    misleading.retrieval_scores[:, 0] = 1.0
    found = detect([*DETECTION, misleading])
    assert found.n_correct == 5
    assert [str(head) for head in found.ranking.top(3)] == ["L1H0", "L1H1", "L1H2"]


def test_some_conditions_only():
    plan = grid_plan(REQUEST, PRESETS["quick"], {DETECTION_ROLE: DETECTION}, (DYNAMIC,))
    assert set(plan.roles) == {DETECTION_ROLE, *(role(DYNAMIC, commit) for commit in COMMITS)}


def test_a_failed_generation_is_missing_and_not_wrong():
    values = quality([made_up(0), made_up(1, right=False), made_up(2, stopped="error")], "niah")
    assert list(values) == ["accuracy", "rouge_l"]
    np.testing.assert_array_equal(values["accuracy"], [1.0, 0.0, np.nan])
    assert np.isnan(values["rouge_l"][2]) and values["rouge_l"][1] == 0.0
