"""The sensitivity grid: thresholds put to the same scores, the same samples under every window, verdicts that flip are found."""

import dataclasses

import pytest
import torch

from mechdyn.claims.dynamism import Dynamism
from mechdyn.claims.sensitivity import (
    DEFAULT,
    LOCALS,
    SINKS,
    THRESHOLDS,
    at_threshold,
    flipped,
    judge_thresholds,
    reference_cell,
    window_plan,
)
from mechdyn.errors import InputError
from mechdyn.evidence import Outcome
from mechdyn.plans import Request
from mechdyn.scores.reasoning import Reasoning
from mechdyn.scores.score import as_score
from mechdyn.tasks.world import WorldTask
from mechdyn.traces.trace import Trace

N_LAYERS, N_HEADS, N_STEPS = 4, 10, 12
REQUEST = Request({"name": "made up", "revision": "1"}, WorldTask())


def made_up(scores, seed):
    tokens = torch.randint(0, 50, (len(scores),), generator=torch.Generator().manual_seed(seed))
    return Trace(
        unit=str(seed),
        sample=str(seed),
        task="world",
        question="?",
        answer="Debilford",
        prompt_tokens=torch.arange(3),
        needle_positions=torch.arange(1),
        tokens=tokens,
        token_texts=tuple(map(str, tokens.tolist())),
        text="So the answer is Debilford.",
        retrieval_scores=scores,
        hidden=torch.zeros(len(scores), 2),
        threshold=0.5,
    )


def scores_of(seed):
    """Four heads that each token draws score 0.6; four that never change score 0.4."""
    scores = torch.zeros(N_STEPS, N_LAYERS, N_HEADS)
    drawn = torch.rand(N_STEPS, N_LAYERS * N_HEADS, generator=torch.Generator().manual_seed(seed)).argsort(dim=1).argsort(dim=1) < 4
    scores[drawn.view(scores.shape)] = 0.6
    scores[:, 0, :8] = scores[:, 0, :8].clamp(min=0.4)
    return scores


@pytest.fixture(scope="module")
def traces():
    row = [made_up(scores_of(seed), seed) for seed in range(30)]
    return {"detection": [made_up(scores_of(1000 + seed), 1000 + seed) for seed in range(30)], "evaluation": row, "retest": row}


def test_a_threshold_is_put_to_the_stored_scores(traces):
    for threshold in (0.0, 0.3, 0.5, 0.7):
        for role, row in at_threshold(traces, threshold).items():
            for trace, original in zip(row, traces[role], strict=True):
                assert torch.equal(trace.active, original.retrieval_scores > threshold)
                assert trace.retrieval_scores is original.retrieval_scores
    assert {trace.threshold for row in traces.values() for trace in row} == {0.5}


@pytest.mark.parametrize("threshold", [-0.1, 1.0, 2.0])
def test_a_threshold_that_says_nothing_is_refused(traces, threshold):
    with pytest.raises(InputError, match=rf"threshold must lie in \[0, 1\), .* got {threshold}"):
        at_threshold(traces, threshold)


def test_verdicts_move_as_the_planted_scores_say(traces):
    """Above 0.5 only the heads that follow the token are left; at 0.3 constant ones dilute them; above 0.6 none is."""
    low, default, high = judge_thresholds(REQUEST, 4, 32, traces, (0.3, 0.5, 0.7))
    assert default.setting == DEFAULT and default.verdict.outcome is Outcome.SUPPORTED
    assert "0 retest pairs" in high.verdict.notes[0] and high.verdict.outcome is Outcome.INCONCLUSIVE
    adjacent = [cell.verdict.find("adjacent Jaccard").interval.estimate for cell in (low, default)]
    assert adjacent[0] > adjacent[1] + 0.3
    cells = (low, default, high)
    assert reference_cell(cells) is default and high in flipped(cells) and default not in flipped(cells)
    assert reference_cell(cells[:1]) is low and flipped(cells[:1]) == []
    assert {"sink": 4, "local": 32, "threshold": 0.7, "verdict": "inconclusive"}.items() <= high.as_json().items()


def test_every_window_scores_the_same_samples():
    plans = {(sink, local): window_plan(REQUEST, sink, local) for sink in SINKS for local in LOCALS}
    samples = [[unit.sample for unit in plan.units] for plan in plans.values()]
    assert all(row == samples[0] for row in samples)
    assert len({unit.key for plan in plans.values() for unit in plan.units}) == len(plans) * len(samples[0])
    for (sink, local), plan in plans.items():
        assert as_score(plan.units[0].decoding["score"]).score == Reasoning(sink, local)
    assert DEFAULT in {(sink, local, threshold) for sink in SINKS for local in LOCALS for threshold in THRESHOLDS}


def test_the_default_is_what_the_claim_plans():
    plan = window_plan(REQUEST, *DEFAULT[:2])
    assert [unit.key for unit in plan.units] == [unit.key for unit in Dynamism().plan(REQUEST).units]
    other = dataclasses.replace(REQUEST, score={"name": "reasoning", "sink": 0, "local": 0})
    assert [unit.key for unit in window_plan(other, *DEFAULT[:2]).units] == [unit.key for unit in plan.units]


def test_no_cell_has_no_reference():
    with pytest.raises(InputError, match="a sensitivity grid needs at least one cell, got none"):
        reference_cell([])
