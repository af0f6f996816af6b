import json

import numpy as np
import pytest

from mechdyn.errors import InputError
from mechdyn.stats.interval import Interval
from mechdyn.views import Curve, cca, curves, progressive
from mechdyn.views.curves import Axis, sweep_figures

NAN = float("nan")


def intervals(*estimates: float, width: float = 0.1) -> list[Interval]:
    return [Interval(estimate, estimate - width, estimate + width, 20) for estimate in estimates]


def lines(figure) -> dict:
    return {trace.name: trace for trace in figure.data if trace.name}


def test_lines_and_bands_hold_the_intervals() -> None:
    figure = curves([Curve("a", [0, 1, 2], intervals(1.0, 2.0, 3.0))], x="x", y=Axis("y"))
    band, line = figure.data
    np.testing.assert_allclose(line.y, [1, 2, 3])
    assert list(band.x) == [0, 1, 2, 2, 1, 0]
    np.testing.assert_allclose(band.y, [0.9, 1.9, 2.9, 3.1, 2.1, 1.1])
    assert line.customdata[0] == "1.000 [0.900, 1.100], n = 20"


def test_missing_bounds_leave_the_band_out_and_missing_estimates_a_gap() -> None:
    points = [*intervals(1.0, 2.0), Interval(3.0, NAN, NAN, 1), Interval(NAN, NAN, NAN, 0), *intervals(5.0)]
    figure = curves([Curve("a", range(5), points)], x="x", y=Axis("y"))
    assert [list(trace.x) for trace in figure.data if not trace.name] == [[0, 1, 1, 0], [4, 4]]
    line = lines(figure)["a"]
    assert np.isnan(line.y[3]) and line.y[2] == 3.0 and not line.connectgaps
    assert "no interval, n = 1" in line.customdata[2]


def test_progressive_ablation_has_two_axes() -> None:
    figure = progressive([0, 5, 10], intervals(0.0, 4.5, 6.0), intervals(1.0, 0.7, 0.4), metric="accuracy")
    drawn = lines(figure)
    assert drawn["accuracy"].yaxis == "y2"
    np.testing.assert_allclose(drawn["accuracy"].y, [1, 0.7, 0.4])
    compensated = drawn["compensated heads in the static top 20"]
    assert compensated.yaxis == "y"
    assert compensated.line.dash != drawn["accuracy"].line.dash
    assert figure.layout.yaxis2.range[1] >= 1


def test_cca_shares_a_color_by_name_and_a_dash_by_kind() -> None:
    series = {"top-1": intervals(0.9, 0.8), "top-10": intervals(0.7, 0.6)}
    drawn = lines(
        cca([0, 1], series, held_out={"top-1": intervals(0.5, 0.4)}, null={"top-1": intervals(0.3, 0.3), "top-10": intervals(0.2, 0.2)})
    )
    assert list(drawn) == ["top-1", "top-10", "top-1, held out", "top-1, null", "top-10, null"]
    assert drawn["top-1"].line.color == drawn["top-1, null"].line.color == drawn["top-1, held out"].line.color != drawn["top-10"].line.color
    assert {drawn[name].line.dash for name in ("top-1", "top-10")} == {"solid"}
    assert drawn["top-1, null"].line.dash == drawn["top-10, null"].line.dash == "dot"


def test_names_are_escaped() -> None:
    figure = curves([Curve("<b>a</b>", [0], intervals(1.0))], x="<x>", y=Axis("$y$"))
    assert figure.data[-1].name == "&lt;b&gt;a&lt;/b&gt;"
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("&lt;x&gt;", "&#36;y&#36;")


def test_bad_curves_are_refused() -> None:
    with pytest.raises(InputError, match="curve 'a' needs one interval for each x and at least one, got 2 x and 1 intervals"):
        Curve("a", [0, 1], intervals(1.0))
    with pytest.raises(InputError, match="at least one curve, got none"):
        curves([], x="x", y=Axis("y"))
    with pytest.raises(InputError, match="right axis and there is none"):
        curves([Curve("a", [0], intervals(1.0), right=True)], x="x", y=Axis("y"))
    with pytest.raises(InputError, match="null series 'b' has no in-sample series"):
        cca([0], {"a": intervals(1.0)}, null={"b": intervals(1.0)})


def test_a_sweep_draws_a_line_for_each_strategy() -> None:
    points = {0.8: Interval(0.2, 0.1, 0.3, 9), 1.2: Interval(0.4, 0.3, 0.5, 9)}
    figures = sweep_figures({"threshold": {"oracle": points, "static": points}, "k": {"oracle": {4: points[0.8]}}})
    assert list(figures) == ["F1 against threshold", "F1 against k"]
    lines = [trace for trace in figures["F1 against threshold"].data if trace.name]
    assert [line.name for line in lines] == ["oracle", "static"] and list(lines[0].x) == [0.8, 1.2]
    assert json.loads(figures["F1 against k"].to_json())["layout"]["xaxis"]["title"]["text"] == "k"
