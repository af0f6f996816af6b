"""The curve of quality against cache size: what is drawn is what was given."""

import pytest

from mechdyn.errors import InputError
from mechdyn.stats.interval import Interval
from mechdyn.views.kv_budgets import kv_budgets

POINTS = {
    name: {share: Interval(level / (share * 100), level / 200, float(level), 30) for share in (0.5, 0.01, 0.1)}
    for level, name in enumerate(("static", "oracle", "uniform", "my own"), start=1)
}


@pytest.mark.parametrize("dark", [False, True])
def test_every_point_is_drawn_in_order_of_size(dark):
    figure = kv_budgets(POINTS, title="T", dark=dark)
    lines = {trace.name: trace for trace in figure.data if trace.name}
    assert set(lines) == set(POINTS)
    for name, line in lines.items():
        assert list(line.x) == [1.0, 10.0, 50.0]
        assert list(line.y) == [POINTS[name][share].estimate for share in (0.01, 0.1, 0.5)]
    assert lines["static"].line.color != lines["oracle"].line.color
    assert figure.layout.xaxis.type == "log" and list(figure.layout.xaxis.ticktext) == ["1", "10", "50"]


def test_nothing_and_shares_that_are_none_are_refused():
    for points in ({}, {"static": {}}):
        with pytest.raises(InputError, match="got none"):
            kv_budgets(points)
    with pytest.raises(InputError, match="above 0 and at most 1"):
        kv_budgets({"static": {5.0: Interval(1.0, 0.0, 2.0, 3)}})
