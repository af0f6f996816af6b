"""Rows and readings of the alarm against sums by hand; the probe against planted directions; simulated worlds against their rule."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.heads import Head, rank_heads
from mechdyn.studies.alarm import (
    COPIES,
    DEPLOYABLE,
    ENTROPY,
    LABELLED,
    MAX_P,
    N_ACTIVE,
    PROBE,
    AlarmRows,
    WeightedHeads,
    alarm_rows,
    areas,
    gain_of,
    known_columns,
    probed,
    readings_of,
)
from mechdyn.studies.alarm_worlds import WORLDS, simulate_rows
from mechdyn.studies.claimed_tokens import NOTHING
from mechdyn.traces.backing import Backing
from tests.views.made_up import made_up

HEADS = WeightedHeads((Head(1, 2), Head(0, 1)), (0.7, 0.3))


def answered(seed, texts=("It is", " 12", "ab", "cd", "9"), answer="12abcd77", **fields):
    generator = torch.Generator().manual_seed(seed)
    n = len(texts)
    scores = (torch.rand(n, 2, 3, generator=generator) > 0.5).float()
    entropy, max_p, margin = torch.rand(3, n, generator=generator)
    mass = torch.rand(n, 3, generator=generator)
    backing = Backing((Head(0, 1), Head(0, 0), Head(1, 2)), entropy, max_p, margin, mass, mass > 0.5)
    hidden = torch.randn(n, 4, generator=generator)
    return made_up(scores, texts, answer=answer, backing=backing, hidden=hidden, **({"sample": str(seed)} | fields))


def test_readings_are_the_weighted_sums_over_the_heads():
    trace = answered(0)
    found = readings_of(trace, HEADS)
    for step in range(trace.n_steps):
        assert float(found[LABELLED][step]) == pytest.approx(
            0.7 * float(trace.retrieval_scores[step, 1, 2]) + 0.3 * float(trace.retrieval_scores[step, 0, 1])
        )
        mass, copies = trace.backing.mass[step], trace.backing.copies[step].float()
        assert float(found[DEPLOYABLE][step]) == pytest.approx(float(0.7 * mass[2] + 0.3 * mass[0]))
        assert float(found[COPIES][step]) == pytest.approx(float(0.7 * copies[2] + 0.3 * copies[0]))
        assert float(found[N_ACTIVE][step]) == float(trace.retrieval_scores[step].sum())
    with pytest.raises(InputError, match="with the backing of its heads"):
        readings_of(replace(trace, backing=None), HEADS)


def test_weights_are_shares_of_scores_above_zero():
    ranking = rank_heads([(Head(0, 0), 0.1), (Head(0, 1), 0.3), (Head(1, 0), 0.0)], 2, 2)
    assert WeightedHeads.of(ranking).heads == (Head(0, 1), Head(0, 0))
    assert WeightedHeads.of(ranking).weights == pytest.approx((0.75, 0.25))
    assert len(WeightedHeads.of(ranking, 1).heads) == 1
    assert WeightedHeads.from_json(WeightedHeads.of(ranking).as_json()) == WeightedHeads.of(ranking)
    with pytest.raises(InputError, match="no head of the ranking scores above 0"):
        WeightedHeads.of(rank_heads([(Head(0, 0), 0.0)], 1, 1))


def test_rows_are_the_content_tokens_with_their_steps():
    traces = {
        "needles": [answered(0, meta={"seed": 5}), answered(1, ("It is", " 12abcd77"), meta={"seed": 6})],
        "decoys": [answered(2, ("It is",), meta={"seed": 5}), answered(3, meta={"seed": 5}), answered(4, stopped="error")],
    }
    rows = alarm_rows(traces, HEADS)
    assert rows.wrong.tolist() == [False, False, False, True, False, False, False, False, True]
    assert rows.source.tolist() == ["needles"] * 5 + ["decoys"] * 4
    assert rows.clusters == ("seed 5", "seed 6", "seed 5")
    assert rows.left_out == {NOTHING: 1, "it failed": 1}
    expected = [traces["needles"][0].backing.entropy[step] for step in (1, 2, 3, 4)]
    assert rows.readings[ENTROPY][:4] == pytest.approx([float(value) for value in expected])
    assert torch.equal(rows.hidden[8], traces["decoys"][1].hidden[4])
    assert rows.of("decoys").wrong.sum() == 1 and len(rows.of("decoys")) == 8
    assert rows.alarm(MAX_P).tolist() == (-rows.readings[MAX_P]).tolist()


def test_both_models_know_kind_and_place_only_when_told():
    rows = simulate_rows(WORLDS[0], 50, np.random.default_rng(0))
    assert known_columns(rows, places=False).shape == (len(rows), 6)
    told = known_columns(rows, places=True)
    for place in (0, 5):
        assert (told[rows.place == place, 9:].sum(axis=1) == (place > 0)).all()


def planted(seed, n=400, strength=3.0):
    """Rows whose hidden state tells wrong tokens along one direction, and nothing else does."""
    rng = np.random.default_rng(seed)
    wrong, sample = rng.random(n) < 0.3, np.arange(n) // 4
    hidden = torch.from_numpy(rng.standard_normal((n, 6)) + strength * wrong[:, None] * np.eye(6)[2])
    noise = {name: rng.random(n) for name in (ENTROPY, MAX_P, DEPLOYABLE)}
    return AlarmRows(wrong, np.array(["word"] * n, dtype=object), np.zeros(n, dtype=int), np.array(["a"] * n, dtype=object), sample, noise,
                     tuple(range(n // 4)), hidden)  # fmt: skip


def test_the_probe_finds_a_planted_direction_in_samples_that_it_was_not_fitted_on():
    rows = planted(0)
    _, found = areas(rows)
    assert found[PROBE][0].low > 0.9
    assert found[ENTROPY][0].low < 0.5 < found[ENTROPY][0].high
    shuffled = replace(rows, wrong=np.random.default_rng(1).permutation(rows.wrong))
    assert abs(areas(shuffled)[1][PROBE][0].estimate - 0.5) < 0.1
    with pytest.raises(InputError, match="needs hidden states"):
        probed(replace(rows, hidden=None))


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_answers_of_a_world_end_at_their_first_wrong_token(world):
    rows = simulate_rows(world, 30, np.random.default_rng(2))
    assert rows.n_wrong == 30
    for sample in range(len(rows.clusters)):
        own = rows.sample == sample
        assert rows.place[own].tolist() == list(range(own.sum()))
        assert not rows.wrong[own][:-1].any() and (rows.wrong[own][-1] or own.sum() == 10)


def test_what_follows_place_alone_gains_once_place_is_not_known():
    """Why both models know the place."""
    world = next(world for world in WORLDS if "follows place" in world.name)
    rows = simulate_rows(world, 300, np.random.default_rng(3))
    assert gain_of(rows, DEPLOYABLE, places=False).gain.low > 0
    assert gain_of(rows, DEPLOYABLE).gain.low < 0
