"""The verdict under the second criteria, on made-up effects with a known answer, and on planted heads."""

import dataclasses
import json

import pytest
import torch

from mechdyn.claims.irreplaceability import EFFECT_MEASURE, JACCARD, Irreplaceability
from mechdyn.contrasts import ACTIVE, NEITHER, OWN, STATIC, DoseResponse
from mechdyn.evidence import FIRST, SECOND, Outcome, Verdict
from mechdyn.heads import Head
from mechdyn.plans import Request
from mechdyn.studies.conditions import CLEAN, DETECTION_ROLE
from mechdyn.tasks.niah import Niah
from mechdyn.traces.effect import Effect
from tests.studies.made_up import MODEL, N_HEADS, N_LAYERS, N_STEPS, experiment, made_up

REQUEST = Request(MODEL, Niah())
SETS = tuple(DoseResponse((Head(0, 0),), (1, 2), n_draws=2).schedules)


def effect(seed, deltas, sizes=(1, 2)):
    """Δ of every set is the one of its kind, with a little noise that is each sample's own; no step reaches other sizes."""
    generator = torch.Generator().manual_seed(seed)
    off, heads = torch.full((len(SETS), N_STEPS, 1), -1.0), torch.zeros(len(SETS), N_STEPS, N_LAYERS, N_HEADS, dtype=torch.bool)
    for place, name in enumerate(SETS):
        kind, *rest = name.split()
        if not rest or int(rest[0]) in sizes:
            heads[place, :, 0, : int(rest[0]) if rest else 3] = True
            off[place] = -1.0 - deltas[kind] - 0.05 * torch.randn(1, generator=generator)
    return Effect(SETS, torch.arange(N_STEPS), tuple("abcdefgh"), torch.full((N_STEPS,), -1.0), off, heads)


def traces(own, static, neither, active=4.0, right=40, n=40, sizes=lambda seed: (1, 2)):
    deltas = {OWN: own, STATIC: static, NEITHER: neither, ACTIVE: active}
    found = experiment({CLEAN: right}, n=n)
    found[CLEAN] = [dataclasses.replace(trace, effect=effect(seed, deltas, sizes(seed))) for seed, trace in enumerate(found[CLEAN])]
    return found


def judge(*args, **options):
    """The verdict; what decides alone must come to the same."""
    found, claim = traces(*args, **options), Irreplaceability()
    verdict = claim.judge(REQUEST, found)
    assert claim.decide(REQUEST, found) is verdict.outcome
    return verdict


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        ((1.0, 0.0, 0.0), Outcome.SUPPORTED),
        ((1.0, 0.0, 1.0), Outcome.INCONCLUSIVE),
        ((1.0, 1.0, 0.0), Outcome.REFUTED),
        ((0.0, 0.0, 0.0), Outcome.REFUTED),
        ((0.0, 1.0, 0.0), Outcome.REFUTED),
        ((0.1, 0.0, 0.0), Outcome.REFUTED),
        ((0.3, 0.0, 0.0), Outcome.SUPPORTED),
    ],
)
def test_the_verdict_follows_what_each_kind_of_heads_does(deltas, expected):
    """With all of the step's heads worth 4 nats, a sure difference of 0.1 is as good as none, one of 0.3 is not."""
    verdict = judge(*deltas)
    assert (verdict.outcome, verdict.named) == (expected, SECOND)
    for name, delta in zip((OWN, STATIC, NEITHER), deltas, strict=True):
        interval = verdict.find(EFFECT_MEASURE, heads=name, k=2).interval
        assert interval.estimate == pytest.approx(delta, abs=0.05) and interval.n == 40
    paired = verdict.find(EFFECT_MEASURE, heads=OWN, less=STATIC, k=2).interval
    assert paired.low < deltas[0] - deltas[1] < paired.high


def test_no_effect_at_all_is_a_floor_and_refutes_nothing():
    for deltas in ((0.0, 0.0, 0.0), (-0.1, 0.1, 0.0)):
        verdict = judge(*deltas, active=0.0)
        assert verdict.outcome is Outcome.INCONCLUSIVE and verdict.refutes == ()
        assert verdict.notes[0].startswith("all of the step's heads together take ")


def test_the_first_criteria_stand_beside_on_the_same_run():
    verdict = judge(1.0, 0.0, 0.0)
    (first,) = verdict.beside
    assert (first.named, first.outcome) == (FIRST, Outcome.INCONCLUSIVE)
    assert Verdict.from_json(json.loads(json.dumps(verdict.as_json(), allow_nan=False))).as_json() == verdict.as_json()
    assert verdict.find("accuracy", condition=CLEAN, commit="clean").interval.n == 40


def test_it_is_the_largest_k_that_twenty_samples_reach():
    verdict = judge(1.0, 0.0, 0.0, sizes=lambda seed: (1, 2) if seed < 20 else (1,))
    assert (verdict.facts["decisive_k"], verdict.facts["decisive_samples"]) == (2, 20)
    verdict = judge(1.0, 0.0, 0.0, sizes=lambda seed: (1, 2) if seed < 19 else (1,))
    assert (verdict.facts["decisive_k"], verdict.facts["decisive_samples"]) == (1, 40)
    assert verdict.find(EFFECT_MEASURE, heads=OWN, k=2).interval.n == 19


def test_only_correct_answers_have_a_say():
    found = traces(1.0, 0.0, 0.0, right=30)
    wrong = effect(99, {OWN: -50.0, STATIC: 50.0, NEITHER: 50.0, ACTIVE: 0.0})
    found[CLEAN][30:] = [dataclasses.replace(trace, effect=wrong) for trace in found[CLEAN][30:]]
    verdict = Irreplaceability().judge(REQUEST, found)
    assert verdict.outcome is Outcome.SUPPORTED and verdict.facts["decisive_samples"] == 30


def test_a_model_that_rarely_answers_is_not_asked():
    verdict = judge(1.0, 0.0, 0.0, right=39, n=80)
    assert verdict.outcome is Outcome.INCONCLUSIVE and verdict.supports == ()
    assert verdict.notes[0].startswith("clean accuracy is 0.487") and verdict.notes[0].endswith("the criteria ask for 0.5 or more")
    assert judge(1.0, 0.0, 0.0, right=40, n=80).outcome is Outcome.SUPPORTED


def test_heads_that_coincide_with_the_list_are_inconclusive_and_it_says_how_far():
    verdict = judge(1.0, 0.0, 0.0, sizes=lambda seed: ())
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.notes[0].startswith("0 correct samples have a step at which its own heads and the static list's differ both ways")
    assert verdict.find(JACCARD).interval.estimate == 1.0
    assert verdict.facts["steps_with_both_differences"] == 0 and verdict.facts["retrieving_steps"] == 40 * N_STEPS


def test_a_run_of_before_has_the_first_criteria_alone():
    verdict = Irreplaceability().judge(REQUEST, experiment({"dynamic": 2}))
    assert verdict.outcome is Outcome.INCONCLUSIVE and "this run has no effects along the clean answers" in verdict.notes[0]
    assert verdict.beside[0].outcome is Outcome.SUPPORTED


def test_a_model_that_never_answers_is_inconclusive():
    verdict = Irreplaceability().judge(REQUEST, {DETECTION_ROLE: [made_up(seed, right=False) for seed in range(30)]})
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "no detection sample was answered correctly" in verdict.reasons[0]
