"""Verdicts on Wu et al.'s causal, dynamic and chain-of-thought properties follow their criteria on traces with known answers."""

import dataclasses
import json

import pytest
import torch

from mechdyn.claims.claim import get_claim
from mechdyn.claims.wu2024_causal import BESIDE, HOWS, MODES, PUBLISHED, head_lists
from mechdyn.claims.wu2024_reasoning import DIRECT, KEEPS_MORE, MORE, RATIONALE, in_style, on_needles
from mechdyn.decoding.ablation import Ablation
from mechdyn.errors import InputError
from mechdyn.evidence import Outcome
from mechdyn.plans import Request
from mechdyn.studies.conditions import CLEAN, DETECTION_ROLE, LISTED, RANDOM_LAYERS
from mechdyn.studies.modes import RANDOM, mode_role
from mechdyn.studies.random_lists import DRAWS
from mechdyn.tasks.niah import Niah
from mechdyn.tasks.world import WorldTask
from tests.studies.made_up import MODEL, made_up

REQUEST, ASKED = Request(MODEL, Niah()), Request(MODEL, WorldTask())
DETECTED = [made_up(1000 + seed) for seed in range(40)]
CAUSAL, DYNAMIC, REASONING = (get_claim(f"wu2024.{name}") for name in ("causal", "dynamic", "reasoning"))


def causal(listed, control, *, n=40, clean=None, zero=None):
    """Traces where so many of `n` samples are right, the first ones, in each condition."""
    traces = {DETECTION_ROLE: DETECTED, CLEAN: [made_up(seed, right=seed < (n if clean is None else clean)) for seed in range(n)]}
    for mode in MODES:
        counts = {LISTED: listed if mode == PUBLISHED or zero is None else zero, RANDOM: control, RANDOM_LAYERS: control}
        for condition, count in counts.items():
            for draw in range(1 if condition == LISTED else DRAWS):
                traces[mode_role(mode, condition, draw)] = [made_up(seed, right=seed < count, n_ablated=1) for seed in range(n)]
    return traces


CASES = {
    "listed heads break it, random ones do not": (causal(2, 38), Outcome.SUPPORTED),
    "nothing breaks it": (causal(100, 100, n=100), Outcome.REFUTED),
    "nothing breaks it, of too few samples to be sure": (causal(40, 40), Outcome.INCONCLUSIVE),
    "everything breaks it": (causal(2, 2, n=100), Outcome.REFUTED),
    "listed heads hurt, and do not break it": (causal(30, 40), Outcome.INCONCLUSIVE),
    "random heads break it too, if less": (causal(0, 15), Outcome.INCONCLUSIVE),
    "too few right answers": (causal(0, 19, clean=19), Outcome.INCONCLUSIVE),
    "zero has no say": (causal(2, 38, zero=40), Outcome.SUPPORTED),
}


@pytest.mark.parametrize("case", CASES)
def test_causal(case):
    traces, wanted = CASES[case]
    verdict = CAUSAL.judge(REQUEST, traces)
    assert verdict.outcome is wanted
    json.dumps(verdict.as_json(), allow_nan=False)
    assert verdict.facts["most_heads_that_a_draw_shares"] == 0
    assert verdict.find("accuracy", mode=str(PUBLISHED), condition=LISTED).interval.n == len(traces[CLEAN])
    assert verdict.find("accuracy", mode=str(BESIDE), condition=RANDOM) is not None


def test_zero_and_layers_stand_beside():
    verdict = CAUSAL.judge(REQUEST, causal(2, 38, zero=40))
    assert "zero, decode, against random heads: refuted" in verdict.notes
    assert "uniform, decode, against random-layers heads: supported" in verdict.notes


def test_causal_lists_the_first_heads_and_draws_from_those_that_do_not_retrieve():
    lists, _ = head_lists(REQUEST, DETECTED)
    assert str(lists.listed) == "L1H0"
    drawn = set().union(*lists.random, *lists.layered)
    assert len(lists.random) == len(lists.layered) == DRAWS and all(len(heads) == 1 for heads in (*lists.random, *lists.layered))
    assert not drawn & {(1, 0), (1, 1), (1, 2)}, "these score 1"


def test_causal_plans_the_published_masking():
    first = CAUSAL.plan(REQUEST)
    assert list(first.roles) == [DETECTION_ROLE]
    roles = CAUSAL.plan(REQUEST, {DETECTION_ROLE: DETECTED}).roles
    assert len(roles) == 2 + len(MODES) * (1 + 2 * DRAWS)
    (ablation,) = {json.dumps(unit.ablation) for unit in roles[mode_role(PUBLISHED, LISTED)]}
    published = Ablation(heads_off("L1H0"), method="uniform", scope="decode")
    assert json.loads(ablation) == published.as_json() and HOWS[PUBLISHED] == {"method": "uniform", "scope": "decode"}
    detection = {unit.key for unit in roles[DETECTION_ROLE]}
    assert not detection & {unit.key for unit in roles[CLEAN]}


def heads_off(names):
    from mechdyn.heads import heads
    from mechdyn.schedules import Static

    return Static(heads(names, 2, 6))


@pytest.mark.parametrize("claim", [CAUSAL, DYNAMIC, REASONING])
def test_a_model_that_never_answers_is_inconclusive(claim):
    wrong = [made_up(seed, right=False) for seed in range(30)]
    verdict = claim.judge(REQUEST, {DETECTION_ROLE: wrong, "evaluation": wrong})
    assert verdict.outcome is Outcome.INCONCLUSIVE and "answered correctly" in verdict.notes[0]


def test_no_other_heads_is_inconclusive():
    every = [dataclasses.replace(trace, retrieval_scores=torch.ones_like(trace.retrieval_scores)) for trace in DETECTED]
    verdict = CAUSAL.judge(REQUEST, {DETECTION_ROLE: every})
    assert verdict.outcome is Outcome.INCONCLUSIVE and "there is no control: 1 random heads are wanted" in verdict.notes[0]
    assert list(CAUSAL.plan(REQUEST, {DETECTION_ROLE: every}).roles) == [DETECTION_ROLE]


def switching(seed, share):
    """Head L1H0 retrieves at all eight steps, L1H1 at `share` of them, L0H5 at the first in every second sample."""
    trace = made_up(seed)
    scores = torch.zeros_like(trace.retrieval_scores)
    scores[:, 1, 0] = 1.0
    scores[: round(8 * share), 1, 1] = 1.0
    scores[0, 0, 5] = float(seed % 2)
    return dataclasses.replace(trace, retrieval_scores=scores)


@pytest.mark.parametrize(("share", "wanted"), [(1.0, Outcome.REFUTED), (0.25, Outcome.SUPPORTED), (0.75, Outcome.INCONCLUSIVE)])
def test_dynamic(share, wanted):
    """Two heads score 0.1 or more; L0H5 scores 1 / 16 and is none."""
    traces = [switching(seed, share) for seed in range(100)]
    verdict = DYNAMIC.judge(REQUEST, {DETECTION_ROLE: traces, "evaluation": traces})
    assert verdict.outcome is wanted
    (found,) = [each for each in verdict.evidence if each.measure.startswith("token share")]
    assert found.interval.estimate == pytest.approx((1 + share) / 2)
    assert verdict.facts["retrieval_heads"] == verdict.facts["active_in_every_sample"] == 2


def test_dynamic_needs_samples():
    traces = [switching(seed, 0.25) for seed in range(19)]
    verdict = DYNAMIC.judge(REQUEST, {DETECTION_ROLE: traces, "evaluation": traces})
    assert verdict.outcome is Outcome.INCONCLUSIVE and "19 correct samples have a retrieving step; 20 are needed" in verdict.notes


def asked(rationale, direct, *, random=(40, 40), clean=(40, 40), n=40):
    """Traces of questions; each number is how many of `n` are right with listed heads off, or with random ones, or with none."""
    traces = {DETECTION_ROLE: DETECTED}
    for index, style in enumerate((RATIONALE, DIRECT)):
        counts = {CLEAN: clean[index], LISTED: (rationale, direct)[index], RANDOM: random[index]}
        for condition, count in counts.items():
            for draw in range(DRAWS if condition == RANDOM else 1):
                name = CLEAN if condition == CLEAN else mode_role(PUBLISHED, condition, draw)
                traces[f"{style}: {name}"] = [question(seed, seed < count) for seed in range(n)]
    return traces


def question(seed, right):
    text = "So the answer is Bardel." if right else "So the answer is nobody."
    return dataclasses.replace(made_up(seed), task="world", answer="Bardel", text=text)


REASONED = {
    "the rationale suffers more": (asked(2, 36), Outcome.SUPPORTED),
    "both suffer alike": (asked(2, 2, random=(100, 100), clean=(100, 100), n=100), Outcome.REFUTED),
    "both suffer alike, of too few questions to be sure": (asked(2, 2), Outcome.INCONCLUSIVE),
    "the direct answer suffers more": (asked(36, 2), Outcome.REFUTED),
    "random heads do it too": (asked(2, 36, random=(2, 36)), Outcome.INCONCLUSIVE),
    "no direct answer to lose": (asked(2, 2, clean=(40, 4)), Outcome.INCONCLUSIVE),
    "too few questions": (asked(1, 15, clean=(19, 19), random=(19, 19), n=19), Outcome.INCONCLUSIVE),
}


@pytest.mark.parametrize("case", REASONED)
def test_reasoning(case):
    traces, wanted = REASONED[case]
    verdict = REASONING.judge(ASKED, traces)
    assert verdict.outcome is wanted
    json.dumps(verdict.as_json(), allow_nan=False)
    assert verdict.find(MORE, condition=LISTED) is not None


@pytest.mark.parametrize(("direct", "told"), [(0, True), (10, False)])
def test_reasoning_says_where_direct_answers_could_not_fall_further(direct, told):
    verdict = REASONING.judge(ASKED, asked(0, direct, clean=(40, 20), random=(40, 20)))
    assert verdict.outcome is Outcome.SUPPORTED
    assert any("could not fall further" in note for note in verdict.notes) == told


RELATED = {
    "the rationale keeps less": (asked(2, 36), Outcome.SUPPORTED),
    "direct answers had less to lose": (asked(20, 10, random=(40, 20), clean=(40, 20)), Outcome.INCONCLUSIVE),
    "both keep alike": (asked(100, 50, random=(200, 100), clean=(200, 100), n=200), Outcome.INCONCLUSIVE),
    "direct keeps less": (asked(36, 2), Outcome.REFUTED),
    "random heads do it too": (asked(2, 36, random=(2, 36)), Outcome.INCONCLUSIVE),
    "both at the floor": (asked(0, 0, clean=(100, 50), random=(100, 50), n=100), Outcome.INCONCLUSIVE),
    "no direct answer to lose": (asked(2, 2, clean=(40, 4)), Outcome.INCONCLUSIVE),
}


@pytest.mark.parametrize("case", RELATED)
def test_relative_criteria_of_reasoning(case):
    traces, wanted = RELATED[case]
    (relative,) = REASONING.judge(ASKED, traces).beside
    assert relative.named == "relative criteria (2026-11-22)" and relative.outcome is wanted
    json.dumps(relative.as_json(), allow_nan=False)
    if case == "both at the floor":
        assert relative.notes == ("direct answers keep 0.000 [0.000, 0.037]: both styles are at the floor",) and not relative.refutes


def test_what_a_style_keeps_is_its_share_of_the_clean_f1():
    (relative,) = REASONING.judge(ASKED, asked(10, 15, clean=(40, 20), random=(40, 20))).beside
    kept = {evidence.at["style"]: evidence.interval.estimate for evidence in relative.evidence if "style" in evidence.at}
    assert kept == pytest.approx({RATIONALE: 10 / 40, DIRECT: 15 / 20})
    assert relative.find(KEEPS_MORE, condition=LISTED).interval.estimate == pytest.approx(0.5)


def test_reasoning_lists_heads_on_needles_and_asks_the_same_questions_twice():
    roles = REASONING.plan(ASKED, {DETECTION_ROLE: DETECTED}).roles
    assert len(roles) == 1 + 2 * (2 + DRAWS)
    assert {unit.sample["task"] for unit in roles[DETECTION_ROLE]} == {"niah"}
    pairs = zip(roles[f"{RATIONALE}: {CLEAN}"], roles[f"{DIRECT}: {CLEAN}"], strict=True)
    assert all({**one.sample, "style": "direct"} == other.sample for one, other in pairs)
    assert {unit.decoding["score"] for units in roles.values() for unit in units} == {"copy_paste"}
    assert on_needles(ASKED).task == Niah()
    with pytest.raises(InputError, match="task niah has no styles; take --task world"):
        in_style(REQUEST, DIRECT)
