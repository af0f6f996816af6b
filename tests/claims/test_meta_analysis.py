"""One claim over models: which verdicts are taken, which are not and why, and the claims' own quantities."""

import numpy as np
import pytest

from mechdyn.claims.dynamism import Dynamism
from mechdyn.claims.dynamism_evidence import EXPLAINED
from mechdyn.claims.irreplaceability import EFFECT_MEASURE
from mechdyn.claims.meta_analysis import main_quantity, together
from mechdyn.evidence import Evidence, Outcome, Verdict
from mechdyn.stats.interval import Interval
from mechdyn.stats.random_effects import random_effects, standard_error
from mechdyn.studies.worlds import WORLDS, request_for, simulate


def verdict(model, estimate=0.5, half=0.1, claim="dynamism", evidence=None):
    interval = Interval(estimate, estimate - half, estimate + half, 40, "BCa bootstrap" if half else "no spread")
    return Verdict(model, claim, Outcome.INCONCLUSIVE, (evidence or Evidence(EXPLAINED, interval),))


def test_models_are_pooled_by_the_errors_of_their_intervals():
    verdicts = [verdict("a", 0.4), verdict("b", 0.6, 0.2), verdict("c", 0.7)]
    (found,) = together(verdicts)
    intervals = [each.evidence[0].interval for each in verdicts]
    expected = random_effects(np.array([0.4, 0.6, 0.7]), np.array([standard_error(each) for each in intervals]))
    assert found.found == expected and found.quantity == EXPLAINED and found.left_out == ()
    frame = found.to_frame()
    assert frame["what"].tolist() == ["a", "b", "c", "mean", "next model"]
    assert frame.loc[4, ["low", "high"]].tolist() == list(expected.prediction)


def test_what_cannot_be_taken_is_left_out_with_the_reason():
    (found,) = together(
        [
            verdict("a"),
            verdict("b"),
            verdict("a", 0.9),
            verdict("c", half=0.0),
            verdict("d", evidence=Evidence("else", Interval(0.0, 0.0, 1.0, 9))),
        ]
    )
    assert [each.model for each in found.models] == ["a", "b"] and found.found.prediction is None
    assert dict(found.left_out) == {
        "a": "a second verdict on this model, which is no other model",
        "c": "0.500 [0.500, 0.500] has no width, so no standard error",
        "d": "the quantity was not measured",
    }


def test_claims_are_apart_and_one_model_alone_is_nothing_over_models():
    assert together([verdict("a"), verdict("b", claim="correlation")]) == [] and together([]) == []
    alone = together([verdict("a"), verdict("b", half=0.0)])
    assert alone[0].found is None and len(alone[0].models) == 1


def test_each_claim_has_a_quantity_of_its_own():
    interval, judged = Interval(0.2, 0.1, 0.3, 40), Verdict("m", "irreplaceability", Outcome.SUPPORTED, facts={"decisive_k": 4})
    own = Evidence(EFFECT_MEASURE, interval, {"heads": "own", "less": "static", "k": 4}, 0.0)
    others = (Evidence(EFFECT_MEASURE, interval, {"heads": "own", "less": "static", "k": 2}, 0.0),)
    found = Verdict("m", "irreplaceability", Outcome.SUPPORTED, (*others, own), facts=judged.facts)
    assert main_quantity(found) is own and main_quantity(judged) is None
    gain = Evidence("AUPRC", interval, {"k": 1, "predictor": "probe", "less": "persistence"}, 0.0)
    ahead = Verdict("m", "anticipation", Outcome.SUPPORTED, (gain,), facts={"strongest_baselines": ["persistence", "base rate"]})
    assert main_quantity(ahead) is gain
    gain = Evidence("AUPRC", interval, {"k": 0, "predictor": "probe", "less": "rate of the step"}, 0.0)
    assert main_quantity(Verdict("m", "correlation", Outcome.SUPPORTED, (gain,))) is gain
    gain = Evidence("F1", interval, {"condition": "dynamic", "less": "static"}, 0.0)
    assert main_quantity(Verdict("m", "dynamic RAG", Outcome.SUPPORTED, (gain,))) is gain
    assert main_quantity(Verdict("m", "nobody's", Outcome.SUPPORTED, (gain,))) is None


def test_a_simulated_verdict_has_its_quantity():
    world = WORLDS["by token"]
    found = main_quantity(Dynamism(n_resamples=100).judge(request_for(world), simulate(world, 25)))
    assert found is not None and standard_error(found.interval) == pytest.approx((found.interval.high - found.interval.low) / 4, rel=0.2)
