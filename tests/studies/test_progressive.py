"""The plan and the points of progressive ablation."""

import json
from dataclasses import replace

import pytest
import torch

from mechdyn.decoding.ablation import ablation_from_json
from mechdyn.plans import Request
from mechdyn.schedules import Dynamic
from mechdyn.studies.conditions import CLEAN, COMMITS, DETECTION_ROLE, detect
from mechdyn.studies.progressive import PRESETS, STATIC_LIST, default_masked, progressive_plan, progressive_point, progressive_role
from mechdyn.tasks.niah import Niah
from tests.studies.made_up import MODEL, N_HEADS, N_LAYERS, N_STEPS, made_up


def test_every_k_has_the_same_samples_and_none_of_the_detection_set():
    plan = progressive_plan(Request(MODEL, Niah()), PRESETS["quick"], (0, 1, 3))
    evaluated = [unit.sample for unit in plan.roles[CLEAN]]
    assert set(plan.roles) == {DETECTION_ROLE, CLEAN, *(f"top {k} dynamic, commit {commit}" for k in (1, 3) for commit in COMMITS)}
    for k in (0, 1, 3):
        for commit in COMMITS:
            units = plan.roles[progressive_role(k, commit)]
            assert [unit.sample for unit in units] == evaluated
            read = ablation_from_json(units[0].ablation, N_LAYERS, N_HEADS)
            assert read is None if k == 0 else (read.schedule, read.commit) == (Dynamic(top_k=k), commit)
    assert not {unit.sample["seed"] for unit in plan.roles[DETECTION_ROLE]} & {sample["seed"] for sample in evaluated}


def test_steps_of_k_fit_the_model():
    assert default_masked(1024) == (0, 5, 10, 15, 20, 25, 30)
    assert default_masked(80) == (0, 1, 2, 3, 5, 8, 12, 16)
    assert default_masked(4) == (0, 1, 2, 3)


def test_a_point_counts_static_heads_that_come_up():
    ranking = detect([made_up(seed) for seed in range(4)]).ranking
    traces = [made_up(seed, right=seed != 0, n_ablated=2) for seed in range(4)]
    for seed, trace in enumerate(traces):
        after = torch.zeros(N_STEPS, N_LAYERS, N_HEADS)
        after[seed, 0, : seed + 1] = 1.0
        trace.ablated_scores[:] = after
    point = progressive_point(2, "clean", {progressive_role(2, "clean"): traces}, ranking)
    # The model has 12 heads, so the top 20 are all of them; its top 10 % is one head, which never comes up.
    assert point.compensated[STATIC_LIST].estimate == pytest.approx((1 + 2 + 3 + 4) / 4)
    assert point.compensated["top 10 %"].estimate == 0.0
    assert point.quality["accuracy"].estimate == 0.75
    assert point.heads_off.estimate == 2.0
    json.dumps(point.as_json(), allow_nan=False)


def test_a_point_draws_samples_of_one_needle_together():
    ranking, rng = detect([made_up(seed) for seed in range(4)]).ranking, torch.Generator().manual_seed(1)

    def point(needles):
        rng.manual_seed(1)
        traces = [made_up(seed, right=True, n_ablated=1 + seed % 3) for seed in range(12)]
        traces = [replace(trace, prompt_tokens=torch.tensor([needle, 0, 0])) for trace, needle in zip(traces, needles, strict=True)]
        for trace in traces:
            trace.ablated_scores[:] = (torch.rand(N_STEPS, N_LAYERS, N_HEADS, generator=rng) < 0.05).float()
        return progressive_point(2, "clean", {progressive_role(2, "clean"): traces}, ranking)

    alone, shared = point(range(12)), point([seed // 3 for seed in range(12)])
    for read in (lambda each: each.compensated[STATIC_LIST], lambda each: each.heads_off):
        assert read(alone).estimate == read(shared).estimate
        assert (read(alone).method, read(shared).method) == ("BCa bootstrap", "cluster BCa bootstrap") or read(shared).method == "no spread"
    assert shared.compensated[STATIC_LIST].method == "cluster BCa bootstrap"


def test_nothing_is_compensated_at_k_0():
    ranking = detect([made_up(0)]).ranking
    point = progressive_point(0, "ablated", {CLEAN: [made_up(seed) for seed in range(3)]}, ranking)
    assert point.compensated[STATIC_LIST].estimate == 0.0
    assert point.heads_off.estimate == 0.0
