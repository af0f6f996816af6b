"""RetMask's verdict on made-up answers: what is planted is found, and a gain that comes with any mask is seen as one."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mechdyn.claims.retmask import (
    ALL_HEADS,
    ANY_MASK,
    BASE,
    NON_RETRIEVAL,
    RETMASK,
    TRAINED,
    WEAKER,
    Arm,
    as_numbers,
    judge_retmask,
    main_quantity,
)
from mechdyn.evidence import LESS, Outcome
from mechdyn.stats.seeds import difference_over_seeds

N = 200


def arm(base, gain, rng, n_seeds=3):
    """Models that turn a share `gain` of all samples from wrong to right, or from right to wrong where it is negative."""
    rows = []
    for _ in range(n_seeds):
        row = base.copy()
        turned = rng.permutation(np.flatnonzero(row == (gain < 0)))[: round(abs(gain) * len(row))]
        row[turned] = float(gain > 0)
        rows.append(row)
    return Arm(np.stack(rows), (80,) * n_seeds, (1.0,) * n_seeds, (0.01,) * n_seeds)


def verdict(gains, n_seeds=3, share_right=0.4, seed=0, n=N):
    rng = np.random.default_rng(seed)
    base = (rng.permutation(n) < share_right * n).astype(float)
    arms = {name: arm(base, gain, rng, n_seeds) for name, gain in gains.items()}
    return judge_retmask("made up", base[None], arms, range(n))


def gains(retmask, random=0.0, weaker=0.0):
    return {RETMASK: retmask, NON_RETRIEVAL: random, ALL_HEADS: random, WEAKER: weaker}


@pytest.mark.parametrize(
    ("planted", "expected"),
    [
        (gains(0.2), Outcome.SUPPORTED),
        (gains(0.2, random=0.06, weaker=0.08), Outcome.SUPPORTED),
        (gains(0.2, random=0.22), Outcome.REFUTED),
        (gains(0.2, weaker=0.24), Outcome.REFUTED),
        (gains(-0.1), Outcome.REFUTED),
        (gains(0.03, random=0.02), Outcome.INCONCLUSIVE),
    ],
)
def test_what_is_planted_is_found(planted, expected):
    found = verdict(planted)
    assert found.outcome is expected, found.reasons
    gain = main_quantity(found).interval
    assert gain.estimate == pytest.approx(planted[RETMASK]) and gain.low <= planted[RETMASK] <= gain.high
    every = (*found.supports, *found.refutes)
    assert [criterion.met for criterion in every] == [asked.met for criterion in every for asked in criterion.asked]


def test_any_mask_is_both_random_arms_and_its_share_of_the_gain_is_said():
    found = verdict({RETMASK: 0.3, NON_RETRIEVAL: 0.05, ALL_HEADS: 0.15, WEAKER: 0.0})
    assert found.find("accuracy", arm=ANY_MASK, **{LESS: BASE}).interval.estimate == pytest.approx(0.1)
    assert "any mask gives 33% of RetMask's gain (published, Llama 3.1 8B: 31%)" in found.notes


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_seeds": 2}, "trained 2 times, 3 are needed"),
        ({"n": 15}, "15 samples were answered, 20 are needed"),
        ({"share_right": 0.96}, "leaves no room"),
    ],
)
def test_too_little_is_inconclusive(options, words):
    found = verdict(gains(0.02), **options)
    assert found.outcome is Outcome.INCONCLUSIVE and words in found.notes[0] and not found.supports


def test_an_arm_that_was_not_run_is_named_and_one_without_pairs_too():
    found = verdict({name: gain for name, gain in gains(0.2).items() if name != WEAKER})
    assert found.outcome is Outcome.INCONCLUSIVE and "weaker-model was not run" in found.notes[0]
    assert judge_retmask("made up", np.full((1, N), 0.98), {}, range(N)).outcome is Outcome.INCONCLUSIVE
    rng, base = np.random.default_rng(1), np.zeros(N)
    arms = {name: arm(base, 0.2 * (name == RETMASK), rng) for name in TRAINED}
    arms[ALL_HEADS] = replace(arms[ALL_HEADS], pairs=(0, 7, 0), margins=(float("nan"), 1.0, float("nan")))
    found = judge_retmask("made up", base[None], arms, range(N))
    assert any("no pair was left for 2 of 3 seeds" in note for note in found.notes)


def test_criteria_rest_on_differences_paired_by_sample_and_seed():
    rng = np.random.default_rng(2)
    base = (rng.random(N) < 0.4).astype(float)
    arms = {name: arm(base, 0.1, rng) for name in TRAINED}
    found = judge_retmask("made up", base[None], arms, range(N))
    expected = difference_over_seeds(arms[RETMASK].values, arms[WEAKER].values)
    assert found.find("accuracy", arm=RETMASK, **{LESS: WEAKER}).interval == expected
    assert all((criterion.p < 0.025) == criterion.met for criterion in (*found.supports, *found.refutes))


def test_arms_come_back_from_json():
    rng = np.random.default_rng(3)
    made = replace(arm(np.zeros(5), 0.4, rng), margins=(1.0, float("nan"), 2.0))
    read = Arm.from_json(json.loads(json.dumps(made.as_json())))
    assert np.array_equal(read.values, made.values) and read.pairs == made.pairs and read.kl == made.kl
    assert np.array_equal(as_numbers(read.margins), as_numbers(made.margins), equal_nan=True)
