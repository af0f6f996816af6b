"""The benchmark of a step: each way is timed, and steps that ablate what they show need a second forward."""

import torch

from experiments.benchmarks.step_cost import SETS, WAYS, measure


def test_every_way_of_a_step_is_timed():
    found = measure(SETS["tiny"][0], "cpu", torch.float32, rounds=1, cpu_time=True)
    assert set(found["milliseconds"]) == set(WAYS) and all(taken > 0 for taken in found["milliseconds"].values())
    assert found["milliseconds"]["ablate"] > found["milliseconds"]["trace"] and found["floor_milliseconds"] > 0
