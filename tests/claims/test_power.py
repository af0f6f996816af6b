"""The power of a verdict: what textbooks give for a mean, from a pilot that is redrawn and from one that is scaled."""

import itertools
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy import stats

from mechdyn.claims.claim import get_claim
from mechdyn.claims.dynamism import Dynamism
from mechdyn.claims.power import Power, PowerAt, effect_outcome, power_of, redrawn, scaled, with_range
from mechdyn.errors import InputError
from mechdyn.evidence import Criterion, Outcome, Verdict, outcome
from mechdyn.plans import Request
from mechdyn.stats.interval import Interval
from mechdyn.stats.means import bootstrap_mean
from mechdyn.stats.tails import p_above, p_below
from mechdyn.studies.conditions import by_sample
from mechdyn.studies.effect_worlds import WORLDS as EFFECT_WORLDS
from mechdyn.studies.worlds import WORLDS, request_for, simulate
from mechdyn.tasks.niah import Niah
from mechdyn.traces.trace import Trace

REQUEST = Request({"name": "made up"}, Niah())
DRAWS, KEYS = 150, itertools.count()


def sample(value, needle, role=0):
    return Trace(
        unit=f"{needle}",
        sample=f"{next(KEYS)}",
        task="niah",
        question="?",
        answer="",
        prompt_tokens=torch.tensor([needle, role]),
        needle_positions=torch.arange(1),
        tokens=torch.zeros(1, dtype=torch.long),
        token_texts=("a",),
        text="",
        retrieval_scores=torch.full((1, 1, 1), float(value)),
        hidden=torch.zeros(1, 2),
    )


def values_of(traces):
    return np.array([float(trace.retrieval_scores) for trace in traces])


@dataclass(frozen=True)
class AboveZero:
    """Supported where a mean lies wholly above 0, refuted where wholly below; `seen` keeps the samples that it was asked about."""

    name: str = "above-zero"
    paper: str = ""
    parts: tuple = ()
    takes_repeats: ClassVar[bool] = True
    seen: ClassVar[list] = []

    def plan(self, request, traces=None):
        raise NotImplementedError

    def judge(self, request, traces):
        self.seen.append(traces)
        values = values_of(traces["evaluation"])
        mean = bootstrap_mean(values, np.ones(len(values)), n_resamples=300)
        supports = (Criterion("above 0", mean.low > 0, p_above(mean, 0.0)),)
        refutes = (Criterion("below 0", mean.high < 0, p_below(mean, 0.0)),)
        return Verdict("made up", self.name, outcome(supports, refutes), (), supports, refutes)


@dataclass(frozen=True)
class Recording(Dynamism):
    """Dynamism, whose verdicts are kept."""

    judged: ClassVar[list] = []

    def decide(self, request, traces):
        self.judged.append(super().judge(request, traces))
        return self.judged[-1].outcome


def pilot(n=300, mean=0.4):
    """Samples whose mean and standard deviation are exactly what is wanted."""
    values = np.random.default_rng(5).normal(size=n)
    return mean + (values - values.mean()) / values.std()


def students_power(n, mean=0.4):
    return stats.nct.sf(stats.t.isf(0.025, n - 1), n - 1, mean * np.sqrt(n))


def test_redrawn_samples_have_the_power_that_students_test_has():
    roles = {"evaluation": [sample(value, place) for place, value in enumerate(pilot())]}
    found = power_of(redrawn(AboveZero(), REQUEST, roles), [20, 60], DRAWS, "above-zero", "")
    for point in found.points:
        assert abs(point.supported.estimate - students_power(point.n)) < 0.12
        assert point.supported.low <= point.supported.estimate <= point.supported.high and point.refuted.estimate < 0.05
    assert found.needed(Outcome.SUPPORTED) == 60 and found.needed(Outcome.REFUTED) is None


def test_scaled_criteria_have_the_power_that_students_test_has():
    values = pilot(n=100)
    verdict = AboveZero().judge(REQUEST, {"evaluation": [sample(value, place) for place, value in enumerate(values)]})
    for point in scaled(verdict, 100, [20, 60, 100]).points:
        assert abs(point.supported.estimate - students_power(point.n)) < 0.06
        assert point.supported.low < point.supported.estimate < point.supported.high
        assert (point.supported.low, point.supported.high) == point.supported_range


def test_samples_that_share_a_needle_are_drawn_together_and_roles_stay_aligned():
    values = np.repeat(pilot(n=60), 4)
    roles = {
        "detection": [sample(0, 1000 + place) for place in range(120)],
        "evaluation": [sample(value, place // 4) for place, value in enumerate(values)],
        "retest": [sample(value, place // 4, role=1) for place, value in enumerate(values)],
    }
    claim, means = AboveZero(), []
    claim.seen.clear()
    at = redrawn(claim, REQUEST, roles)
    for seed in range(200):
        at(40, seed)
        drawn = claim.seen[-1]
        assert [len(drawn[role]) for role in roles] == [20, 40, 40]
        assert (values_of(drawn["evaluation"]) == values_of(drawn["retest"])).all()
        means.append(values_of(drawn["evaluation"]).mean())
    assert np.std(means) == pytest.approx(1 / np.sqrt(10), rel=0.2)


def test_draws_of_random_heads_go_with_their_sample():
    """A role with ten traces of each sample has the same samples as the others, however often one is drawn."""
    clean = [sample(value, place) for place, value in enumerate(pilot(n=12))]
    random = [replace(trace, unit=f"{trace.unit}-{draw}") for draw in range(10) for trace in clean]
    claim = AboveZero()
    claim.seen.clear()
    redrawn(claim, REQUEST, {"evaluation": clean, "random": random})(30, 0)
    one, ten = by_sample(claim.seen[-1]["evaluation"]), by_sample(claim.seen[-1]["random"])
    assert [len(draws) for draws in one] == [1] * 30 and [len(draws) for draws in ten] == [10] * 30
    assert [draws[0].sample for draws in one] == [draws[0].sample for draws in ten]


def test_runs_end_where_the_share_is_sure_enough():
    asked = []

    def outcome_at(n, seed):
        asked.append((n, seed))
        return Outcome.SUPPORTED if n == 20 or seed % 2 else Outcome.INCONCLUSIVE

    sure, open_ = power_of(outcome_at, [20, 40], 200, "made up", "").points
    assert (sure.supported.n, open_.supported.n) == (40, 200) and len(asked) == 240
    assert sure.supported.high - sure.supported.low <= 0.1 and open_.supported.estimate == 0.5


def test_copies_of_a_sample_are_no_cluster():
    """The claim's own clusters do not put the copies together: a pilot of 10 samples can be redrawn to 30, as many as are asked for."""
    world, claim = WORLDS["by token"], Recording(n_resamples=100)
    redrawn(claim, request_for(world), simulate(world, 10))(30, 0)
    facts = claim.judged[-1].facts
    assert (facts["compared_pairs"], facts["compared_clusters"]) == (30, 30)


def test_a_world_gives_the_power_of_the_claims_own_criteria():
    world = next(each for each in EFFECT_WORLDS if each.name == "only the step's own heads matter")
    few, enough = power_of(effect_outcome(world), [10, 60], 20, "irreplaceability", "").points
    assert few.supported.estimate == 0.0 and enough.supported.estimate > 0.8


def test_what_the_pilot_leaves_open_is_beside_where_it_has_p():
    judged = AboveZero().judge(REQUEST, {"evaluation": [sample(value, place) for place, value in enumerate(pilot(n=30))]})
    power = Power("above-zero", "", (PowerAt(30, Interval(0.5, 0.4, 0.6, 100), Interval(0.0, 0.0, 0.1, 100)),))
    low, high = with_range(power, judged, 30).points[0].supported_range
    assert low < students_power(30) < high
    unasked = Verdict("made up", "above-zero", Outcome.INCONCLUSIVE)
    assert with_range(power, unasked, 30) == power


def test_the_frame_has_a_row_for_each_number_and_outcome():
    frame = Power("c", "", (PowerAt(30, Interval(0.5, 0.4, 0.6, 100), Interval(0.0, 0.0, 0.1, 100)),)).to_frame()
    assert frame[["n", "outcome", "power"]].values.tolist() == [[30, "supported", 0.5], [30, "refuted", 0.0]]


def test_what_cannot_be_planned_is_one_line():
    unasked = Verdict("made up", "theirs", Outcome.INCONCLUSIVE, notes=("3 samples retrieve; 20 are needed",))
    with pytest.raises(InputError, match=r"no criterion \(3 samples retrieve"):
        scaled(unasked, 3, [20])
    nameless = Verdict("made up", "theirs", Outcome.SUPPORTED, (), (Criterion("it has a name", True),))
    with pytest.raises(InputError, match="has no p"):
        scaled(nameless, 3, [20])
    with pytest.raises(InputError, match="other than those of detection"):
        redrawn(AboveZero(), REQUEST, {"detection": [sample(0, 0)]})
    with pytest.raises(InputError, match="at least 1"):
        power_of(lambda n, seed: Outcome.SUPPORTED, [0], 5, "c", "")


def test_claims_that_fit_across_samples_take_no_repeats():
    repeats = [
        name for name in ("dynamism", "irreplaceability", "correlation", "anticipation") if hasattr(get_claim(name), "takes_repeats")
    ]
    assert repeats == ["dynamism", "irreplaceability"]
