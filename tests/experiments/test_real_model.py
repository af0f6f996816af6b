"""The benchmark of the real model: all ways compute the same, and the table has a row for each."""

import itertools

import pytest

from experiments.benchmarks.real_model import WAYS, make_subject, measure, table
from tests.real_model import NAME, real_model


def test_the_table_has_a_row_for_each_way():
    seconds = {name: float(index) for index, name in enumerate(WAYS, start=1)}
    rows = table([{"length": 512, "seconds": seconds, "ratio": {name: took for name, took in seconds.items() if took > 1}}]).splitlines()
    assert rows[0] == "| way | 512 tokens |" and rows[2] == "| generate | 1.00 s |" and rows[4] == "| clean + dynamic | 3.00 s, 3.00 × |"
    assert len(rows) == 2 + len(WAYS)


@pytest.mark.real
def test_all_ways_agree_on_a_prompt():
    real_model()
    ticks = itertools.count()
    found = measure(make_subject(NAME, "float32", 6), length=128, n_samples=1, rounds=1, clock=lambda: float(next(ticks)))
    assert set(found["ratio"]) == set(WAYS) - {"generate"} and set(found["ratio"].values()) == {1.0}
