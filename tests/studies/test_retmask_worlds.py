"""Simulated trainings gain what their world says, on samples that are hard for all models alike."""

from dataclasses import asdict

import numpy as np
import pytest

from mechdyn.studies.retmask_worlds import N_SEEDS, WORLDS, Gains, simulate_trainings


@pytest.mark.parametrize("name", ["a gain of 0.2, a third of it by any mask", "a gain of 0.2, all of it by any mask, seeds vary", "harm"])
def test_gains_are_those_of_the_world(name):
    world, n = WORLDS[name], 20_000
    found = simulate_trainings(world, n, seed=2)
    assert found.base.shape == (1, n) and found.base.mean() == pytest.approx(world.right, abs=0.02)
    for arm, gain in asdict(world.gains).items():
        assert found.arms[arm].shape == (N_SEEDS, n)
        assert found.arms[arm].mean() - found.base.mean() == pytest.approx(gain, abs=0.02 + 4 * world.by_seed / N_SEEDS**0.5)
    assert np.corrcoef(found.base[0], found.arms["retmask"][0])[0, 1] > 0.3


def test_any_mask_gives_a_third_of_the_published_gain():
    gains = Gains.as_published(0.2)
    assert (gains.random_non_retrieval + gains.random_of_all) / 2 / gains.retmask == pytest.approx(0.31, abs=0.005)
    assert WORLDS["the published gain, 0.023, a third of it by any mask"].least == pytest.approx(0.0228 - 0.0113)
    assert WORLDS["no gain"].least == 0.0 and WORLDS["a gain of 0.2, all of it by any mask"].least == 0.0
