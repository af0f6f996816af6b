"""The growth curves: every axis has its values, and more of anything costs more."""

from experiments.benchmarks.ablation_cost import figure, table
from experiments.benchmarks.growth import CONDITIONS, SAMPLES, measure
from mechdyn.models.load import load_model


def test_every_axis_is_measured_and_drawn():
    grown = measure(load_model("mini"), contexts=(96, 384), workers=(1,), n_units=2, rounds=1)
    assert {axis: tuple(row) for axis, row in grown.items()} == {
        "context": (96, 384),
        "conditions": CONDITIONS,
        "samples": SAMPLES,
        "workers": (1,),
    }
    assert all(seconds > 0 for row in grown.values() for seconds in row.values())
    assert len(table(grown).splitlines()) == 2 + sum(map(len, grown.values()))
    assert [len(line.x) for line in figure(grown).data] == [2, len(CONDITIONS), len(SAMPLES), 1]
