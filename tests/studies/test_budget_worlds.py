"""Simulated losses have the means that their world says, and samples of one needle share what is hard about them."""

import numpy as np
import pytest

from mechdyn.studies.budget_worlds import WORLDS, simulate_losses
from mechdyn.traces.budgets import ORACLE, SAMPLE, STATIC


@pytest.mark.parametrize("name", list(WORLDS))
def test_means_are_those_of_the_world(name):
    world = WORLDS[name]
    found = simulate_losses(world, 20_000, seed=3)
    for source in (STATIC, SAMPLE, ORACLE):
        values = found.area(source)
        assert values.mean() == pytest.approx(world.means[source], abs=6 * values.std() / len(values) ** 0.5)
    saved = found.area(STATIC) - found.area(ORACLE)
    expected = world.means[STATIC] - world.means[ORACLE]
    assert saved.mean() == pytest.approx(expected, abs=6 * saved.std() / len(saved) ** 0.5)


def test_a_sample_is_as_hard_for_every_way_to_deal_and_needles_are_shared_where_the_world_says():
    alone, shared = (
        simulate_losses(WORLDS[name], 400, seed=1) for name in ("nothing is saved", "nothing is saved, needles shared by five")
    )
    assert np.corrcoef(alone.area(STATIC), alone.area(ORACLE))[0, 1] > 0.8
    assert len(set(alone.clusters.tolist())) == 400 and len(set(shared.clusters.tolist())) == 80
    within = shared.area(STATIC).reshape(80, 5)
    assert within.std(axis=1).mean() < within.mean(axis=1).std()
    again = simulate_losses(WORLDS["nothing is saved"], 400, seed=1)
    assert np.array_equal(again.area(STATIC), alone.area(STATIC)) and again.gain(STATIC, ORACLE) == alone.gain(STATIC, ORACLE)
