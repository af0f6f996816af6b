"""The verdict on made-up losses whose truth is known, the plan, and a unit that carries all that a worker needs."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from mechdyn.claims.claim import get_claim, rules_of
from mechdyn.claims.step_budgets import AREA, DEPLOYED, FORECAST_NAMED, KEPT, LOSS, StepBudgets
from mechdyn.evidence import LESS, Outcome
from mechdyn.improve.budgets.measure import BudgetSetting
from mechdyn.plans import Request
from mechdyn.reports.kv_budgets import budget_curves, budget_tables
from mechdyn.studies.conditions import DETECTION_ROLE
from mechdyn.studies.kv_budgets import BUDGETS_ROLE, FRACTIONS, JUDGED, caches
from mechdyn.tasks.niah import Niah
from mechdyn.traces.budgets import FORECAST, SOURCES, BudgetEffects, CacheShare
from mechdyn.traces.unit import BUDGETS
from mechdyn.views.verdict_rows import verdict_rows
from tests.views.made_up import made_up

REQUEST = Request({"name": "made up", "n_layers": 2, "n_heads": 2}, Niah(), lengths=(256,), runs=5)
N_STEPS = 6


def answer(index, *, right=True, budgets=None):
    """A clean answer whose heads score by its own seed."""
    draws = np.random.default_rng(index)
    scores = draws.random((N_STEPS, 2, 2)) * [[0.2, 1.0], [0.4, 0.1]]
    meta = {"length": 256, "seed": index}
    made = made_up(
        scores, ["v"] * N_STEPS, answer="v" * N_STEPS if right else "w", unit=f"u{index}", sample=f"s{index}", meta=meta, budgets=budgets
    )
    hidden = torch.from_numpy(draws.standard_normal((N_STEPS, 4))).float()
    return dataclasses.replace(made, hidden=hidden, needle_positions=torch.zeros(0, dtype=torch.long))


def effects(index, losses, spread=0.05, with_forecast=True):
    """Losses by source, in nats a token, the same at every size, with a spread that the sources of a sample share but for a tenth."""
    draws = np.random.default_rng(1000 + index)
    shared, tried = draws.normal(0, spread), caches(with_forecast)
    clean = torch.full((N_STEPS,), -0.01)
    rows = []
    for cache in tried:
        row = clean - float(losses[cache.source] + shared + draws.normal(0, spread / 10))
        row[0] = clean[0]
        rows.append(row)
    n = len(tried)
    kept = torch.ones(n, N_STEPS, dtype=torch.bool)
    held = torch.tensor([25.6 * cache.fraction * 10 for cache in tried])
    return BudgetEffects(tried, 256, 1024, clean, torch.stack(rows), kept, held, held, torch.zeros(n))


EVEN = dict.fromkeys(SOURCES, 1.0)


def judged(losses, n=25, **options):
    traces = {
        DETECTION_ROLE: [answer(index) for index in range(20)],
        BUDGETS_ROLE: [answer(100 + index, budgets=effects(index, losses, **options)) for index in range(n)],
    }
    return StepBudgets().judge(REQUEST, traces)


def outcomes(verdict):
    return verdict.outcome, *(other.outcome for other in verdict.beside)


@pytest.mark.parametrize(("better", "expected"), [
    ({"oracle": 0.7, "echo": 0.8, "forecast": 0.6}, ("supported", "supported", "supported")),
    ({"oracle": 0.7, "echo": 0.8, "forecast": 0.8}, ("supported", "supported", "inconclusive")),
    ({"oracle": 0.7, "echo": 1.2, "forecast": 1.0}, ("supported", "refuted", "refuted")),
    ({"oracle": 0.7, "sample": 0.7}, ("inconclusive", "refuted", "refuted")),
    ({}, ("refuted", "refuted", "refuted")),
    ({"oracle": 1.3, "echo": 0.5, "forecast": 0.9}, ("refuted", "supported", "inconclusive")),
    (dict.fromkeys(SOURCES, 0.001), ("inconclusive", "inconclusive", "inconclusive")),
])  # fmt: skip
def test_the_criteria_on_losses_that_are_known(better, expected):
    verdict = judged({**EVEN, **better}, spread=0.002 if better.get("static") else 0.05)
    assert outcomes(verdict) == tuple(map(Outcome, expected))
    assert [other.named for other in verdict.beside] == [DEPLOYED, FORECAST_NAMED]
    for each in (verdict, *verdict.beside):
        assert [criterion.met for criterion in each.supports] == [
            all(asked.met for asked in criterion.asked) for criterion in each.supports
        ]
        assert all(len(criterion.asked) == 1 and verdict_rows(each) for criterion in (*each.supports, *each.refutes))


def test_noise_decides_nothing():
    verdict = judged(EVEN, spread=12.0)
    assert verdict.outcome == Outcome.INCONCLUSIVE


def test_only_right_answers_count_and_twenty_are_needed():
    assert judged(EVEN, n=19).outcome == Outcome.INCONCLUSIVE
    wrong = [answer(500 + index, right=False, budgets=effects(index, {**EVEN, "oracle": 0.1})) for index in range(30)]
    right = [answer(100 + index, budgets=effects(index, EVEN)) for index in range(25)]
    traces = {DETECTION_ROLE: [answer(index) for index in range(20)], BUDGETS_ROLE: right + wrong}
    verdict = StepBudgets().judge(REQUEST, traces)
    assert verdict.outcome == Outcome.REFUTED and verdict.facts["judged_samples"] == 25
    nothing = StepBudgets().judge(REQUEST, {DETECTION_ROLE: [answer(0, right=False)]})
    assert nothing.outcome == Outcome.INCONCLUSIVE and "no static list" in nothing.notes[0]


def test_the_evidence_is_the_mean_over_the_judged_sizes_and_pairs():
    losses = {**EVEN, "oracle": 0.6}
    verdict = judged(losses)
    samples = [effects(index, losses) for index in range(25)]
    places = [[each.place(CacheShare(source, share)) for share in JUDGED] for source in ("static", "oracle") for each in samples[:1]]
    static, oracle = (np.mean([[float(each.loss[place]) for place in row] for each in samples], axis=1) for row in places)
    assert verdict.find(AREA, budget="static").interval.estimate == pytest.approx(static.mean(), abs=1e-6)
    gain = verdict.find(AREA, budget="static", **{LESS: "oracle"})
    assert gain.interval.estimate == pytest.approx((static - oracle).mean(), abs=1e-6) and gain.interval.n == 25
    assert verdict.find(KEPT, budget="uniform", cache=0.05).interval.high == 1.0
    assert verdict.find(LOSS, budget="oracle", cache=0.1, keys="never back") is not None


def test_tables_and_curves_show_every_source_and_size():
    verdict = judged(EVEN)
    tables = budget_tables(verdict)
    assert {row[0] for row in tables[0].rows} >= set(SOURCES) | {"static less oracle"}
    assert {row[1] for row in tables[1].rows} == {f"{100 * share:g} %" for share in FRACTIONS}
    figure = budget_curves(verdict, {})[LOSS].light
    drawn = {trace.name: list(trace.x) for trace in figure.data if trace.name}
    assert set(drawn) == set(SOURCES) and drawn["oracle"] == [100 * share for share in FRACTIONS]


def test_the_plan_asks_for_other_samples_with_a_list_and_a_forecast_in_each_unit():
    claim = get_claim("step_budgets")
    first = claim.plan(REQUEST)
    assert set(first.roles) == {DETECTION_ROLE} and len(first.units) == 25
    detection = [answer(index) for index in range(25)]
    plan = claim.plan(REQUEST, {DETECTION_ROLE: detection})
    units = plan.roles[BUDGETS_ROLE]
    assert (
        not {unit.key for unit in units} & {unit.key for unit in first.units} and plan.roles[DETECTION_ROLE] == first.roles[DETECTION_ROLE]
    )
    setting = BudgetSetting.from_json(json.loads(json.dumps(units[0].decoding[BUDGETS])), 2, 2)
    assert setting.caches == caches() and setting.forecast is not None
    mean = torch.cat([trace.retrieval_scores for trace in detection]).mean(dim=0)
    assert torch.allclose(setting.static, mean, atol=1e-6)
    few = claim.plan(REQUEST, {DETECTION_ROLE: detection[:3]}).roles[BUDGETS_ROLE][0].decoding[BUDGETS]
    assert few["forecast"] is None and FORECAST not in {cache[0] for cache in few["caches"]}


def test_its_rules_are_registered_with_their_margins():
    rules = rules_of(get_claim("step_budgets"))
    assert rules.margins == {"gain_over_static_loss": 0.05, "least_static_loss": 0.01} and "2026-11-22" in rules.named
