"""The verdict follows the criteria of the module on traces with a known answer."""

from dataclasses import replace

import pytest
import torch

from mechdyn.claims.dynamism import PRESETS, Dynamism, as_first_written
from mechdyn.claims.dynamism_evidence import CONSECUTIVE, EXPLAINED, REPEATED, TURNOVER
from mechdyn.errors import InputError
from mechdyn.evidence import FIRST, SECOND, Outcome
from mechdyn.plans import Request
from mechdyn.studies.worlds import WORLDS, Noise, request_for, simulate
from mechdyn.tasks.niah import Niah
from mechdyn.traces.trace import Trace

N_LAYERS, N_HEADS, N_STEPS = 4, 10, 12
REQUEST = Request({"name": "made up", "n_layers": N_LAYERS, "n_heads": N_HEADS}, Niah())


def made_up(active, seed, text="the value"):
    """A trace with the given head sets; traces of one seed have the same tokens."""
    tokens = torch.randint(0, 50, (len(active),), generator=torch.Generator().manual_seed(seed))
    return Trace(
        unit=str(seed),
        sample=str(seed),
        task="niah",
        question="?",
        answer="the value",
        prompt_tokens=torch.tensor([seed, 1, 2]),
        needle_positions=torch.arange(1),
        tokens=tokens,
        token_texts=tuple(map(str, tokens.tolist())),
        text=text,
        retrieval_scores=active.float(),
        hidden=torch.zeros(len(active), 2),
    )


def roles(sets_of, n=30, text="the value"):
    """Detection, evaluation and retest; `sets_of(seed, haystack)` gives a sample's head sets."""
    return {
        "detection": [made_up(sets_of(1000 + seed, 0), 1000 + seed, text) for seed in range(n)],
        "evaluation": [made_up(sets_of(seed, 1), seed, text) for seed in range(n)],
        "retest": [made_up(sets_of(seed, 2), seed, text) for seed in range(n)],
    }


def fixed_sets(seed, haystack):
    active = torch.zeros(N_STEPS, N_LAYERS, N_HEADS, dtype=torch.bool)
    active[:, 2, :4] = True
    return active


def sets_by_token(seed, haystack):
    """Each step draws its own four heads, the same in every haystack."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(N_STEPS, N_LAYERS * N_HEADS, generator=generator).argsort(dim=1).argsort(dim=1).lt(4).view(N_STEPS, N_LAYERS, N_HEADS)


def noisy_sets(seed, haystack):
    """Each step draws heads at random, whatever the needle: change without meaning."""
    return sets_by_token(100_000 * haystack + seed, 0)


def no_sets(seed, haystack):
    return torch.zeros(N_STEPS, N_LAYERS, N_HEADS, dtype=torch.bool)


def test_sets_that_follow_the_token_support_dynamism():
    verdict = Dynamism().judge(REQUEST, roles(sets_by_token))
    assert verdict.outcome is Outcome.SUPPORTED
    assert verdict.facts["activated_heads"] == N_LAYERS * N_HEADS


def test_the_same_set_at_every_step_refutes_it():
    verdict = Dynamism().judge(REQUEST, roles(fixed_sets))
    assert verdict.outcome is Outcome.REFUTED
    assert [criterion.met for criterion in (*verdict.supports, *verdict.refutes)] == [False, False, True]
    assert verdict.refutes[0].text.startswith("Q, the share of what repeats that a fixed list explains, 1.000")
    (first,) = verdict.beside
    assert (verdict.named, first.named, first.outcome) == (SECOND, FIRST, Outcome.REFUTED)
    assert [criterion.met for criterion in (*first.supports, *first.refutes)] == [False] * 3 + [True] * 3
    assert first.refutes[0].text.startswith("adjacent Jaccard 1.000")


def test_noise_is_not_dynamism():
    """Low adjacent and static overlap alone are not enough: retest is as low, so the change is noise."""
    verdict = Dynamism().judge(REQUEST, roles(noisy_sets))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.notes[0].startswith("too little repeats to be explained: reliability")
    assert verdict.beside[0].outcome is not Outcome.SUPPORTED


def test_a_fixed_ranking_of_which_a_varying_number_is_on_is_refuted_where_the_first_criteria_are_fooled():
    def first_of_a_ranking(seed, haystack):
        sizes = torch.randint(0, 3, (N_STEPS,), generator=torch.Generator().manual_seed(seed))
        return (torch.arange(N_LAYERS * N_HEADS) < 4 ** sizes[:, None]).view(N_STEPS, N_LAYERS, N_HEADS)

    verdict = Dynamism().judge(REQUEST, roles(first_of_a_ranking))
    assert (verdict.outcome, verdict.beside[0].outcome) == (Outcome.REFUTED, Outcome.SUPPORTED)
    assert verdict.find(EXPLAINED).interval.estimate == verdict.find(REPEATED).interval.estimate == 1.0
    assert verdict.find(TURNOVER, between=CONSECUTIVE).interval.estimate == 0.0


def test_sets_of_a_needle_that_stay_the_same_in_an_answer_are_not_dynamic():
    verdict = Dynamism().judge(REQUEST, roles(lambda seed, haystack: sets_by_token(seed, 0)[:1].expand(N_STEPS, -1, -1).clone()))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert [criterion.met for criterion in (*verdict.supports, *verdict.refutes)] == [True, False, False]


def test_a_list_that_explains_all_does_not_refute_where_heads_are_exchanged():
    """Sixteen of a pool of twenty, redrawn at each step under much noise: the pool explains nearly all, and turnover still shows."""
    world = WORLDS["by token, 16 of a pool of 20"]
    noisier = replace(world, noise=Noise(0.6, 0.1))
    verdict = Dynamism(n_resamples=400).judge(request_for(noisier), simulate(noisier, 100))
    (refuting,) = verdict.refutes
    assert verdict.find(EXPLAINED).interval.low > 0.9 and refuting.met is False
    assert as_first_written(verdict) is Outcome.REFUTED


def test_too_few_retrieving_samples_are_inconclusive():
    assert Dynamism().judge(REQUEST, roles(sets_by_token, n=19)).outcome is Outcome.INCONCLUSIVE
    verdict = Dynamism().judge(REQUEST, roles(no_sets))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "0 retest pairs with both answers correct retrieve at a step of both; 20 are needed" in verdict.notes[0]
    assert "0 samples retrieve at any step; 20 are needed" in verdict.beside[0].notes[0]
    for each in (verdict, *verdict.beside):
        assert each.supports == each.refutes == ()


def test_a_model_that_never_answers_is_inconclusive():
    verdict = Dynamism().judge(REQUEST, roles(sets_by_token, text="something else"))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    for each in (verdict, *verdict.beside):
        assert "no correct detection sample" in each.notes[0] and each.supports == each.refutes == ()


def test_without_retest_nothing_is_decided_and_the_other_criteria_are_told():
    """Sets that never change would refute it; no pair with both answers correct, or no retest at all, leaves it open."""
    traces = roles(fixed_sets)
    wrong = [replace(trace, text="something else") for trace in traces["retest"]]
    for changed in ({**traces, "retest": wrong}, {role: row for role, row in traces.items() if role != "retest"}):
        verdict = Dynamism().judge(REQUEST, changed)
        (first,) = verdict.beside
        assert verdict.outcome is first.outcome is Outcome.INCONCLUSIVE
        assert [criterion.met for criterion in (*first.supports, *first.refutes)] == [False, False, None, True, True, None]
        for each in (verdict, first):
            assert each.notes[0].startswith("there is no retest (no pair with both answers correct)")


def test_pairs_that_all_share_a_haystack_are_judged_and_pairs_linked_into_one_are_not():
    traces = roles(sets_by_token)
    same = {role: [replace(trace, meta={"haystack": "a.txt", "seed": 1}) for trace in row] for role, row in traces.items()}
    assert Dynamism().judge(REQUEST, same).facts["compared_clusters"] == 30
    chained = {
        role: [replace(trace, meta={"haystack": "a.txt", "seed": (index + (role == "retest")) % 30}) for index, trace in enumerate(row)]
        for role, row in traces.items()
    }
    verdict = Dynamism().judge(REQUEST, chained)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.notes[0].startswith("all 30 retest pairs hang together by needles or haystacks that they share")


def test_evidence_says_list_and_steps():
    verdict = Dynamism().judge(REQUEST, roles(fixed_sets))
    for at in ({}, {"steps": "all"}):
        assert verdict.find("adjacent Jaccard", **at).interval.estimate == 1.0
        # Four heads retrieve at every step, all of them among the top 20.
        assert verdict.find("Jaccard with static", list="top 20", **at).interval.estimate == pytest.approx(4 / 20)
    assert verdict.find("Jaccard with static", list="top 20", steps="all").name == "Jaccard with static top 20, all steps"


@pytest.mark.parametrize("preset", PRESETS)
def test_roles_share_no_sample_and_retest_repeats_the_needle(preset):
    plan = Dynamism().plan(Request({"name": "m"}, Niah(), preset))
    keys = {role: {unit.key for unit in units} for role, units in plan.roles.items()}
    assert not keys["detection"] & (keys["evaluation"] | keys["retest"])
    for first, second in zip(plan.roles["evaluation"], plan.roles["retest"], strict=True):
        assert second.sample["needle_seed"] == first.sample["seed"]
        assert second.sample["seed"] != first.sample["seed"]
        assert second.sample["depth"] != first.sample["depth"]


def test_failed_generations_are_left_out_and_counted():
    traces = roles(sets_by_token)
    traces["evaluation"][:3] = [replace(trace, stopped="error", text="") for trace in traces["evaluation"][:3]]
    verdict = Dynamism().judge(REQUEST, traces)
    assert (verdict.facts["samples"], verdict.facts["failed_samples"]) == (27, 3)
    traces["evaluation"] = [replace(trace, stopped="error") for trace in traces["evaluation"]]
    with pytest.raises(InputError, match="every generation of made up failed"):
        Dynamism().judge(REQUEST, traces)


def test_an_unknown_preset_is_named():
    with pytest.raises(InputError, match="unknown preset 'huge'; give one of quick, standard, paper"):
        Dynamism().plan(Request({"name": "m"}, Niah(), "huge"))


@pytest.mark.parametrize(
    "name", ["by token", "static, reliability 0.8", "ranking, number by token, llama3.1-8b", "half by token, half fixed"]
)
def test_what_decides_alone_is_what_the_judge_says(name):
    world, claim = WORLDS[name], Dynamism(n_resamples=200)
    for n in (12, 30):
        request, traces = request_for(world), simulate(world, n, seed=n)
        judged = claim.judge(request, traces)
        second, first = claim.verdicts(request, traces)
        assert claim.decide(request, traces) == second.outcome == judged.outcome and as_first_written(second) == as_first_written(judged)
        assert (second.supports, second.refutes, second.notes) == (judged.supports, judged.refutes, judged.notes)
        assert first == judged.beside[0]
