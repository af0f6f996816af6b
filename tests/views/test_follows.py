"""Bars hold the intervals that they were given; the heat map holds the rates, and names what it leaves out."""

import inspect

import numpy as np
import pytest

from mechdyn.errors import InputError
from mechdyn.stats.interval import Interval
from mechdyn.stats.mixture import Mixture
from mechdyn.stats.modes import Modes
from mechdyn.views.follows import follows_figures, interval_bars, modes_map
from mechdyn.views.page import save_page
from tests.browser import Browser, needs_browser
from tests.views.made_up import subtitle

NONE = Interval(float("nan"), float("nan"), float("nan"), 0)


def made_modes(n_heads=6, weights=(0.75, 0.25)):
    rates = np.random.default_rng(0).uniform(0.1, 0.9, (len(weights), n_heads))
    mixture = Mixture(np.array(weights), rates)
    return Modes(
        mixture, np.arange(n_heads) * 2, {1: -3.0, 2: -2.0}, Interval(1.0, 0.5, 1.5, 12), 0.9, 0.85, (0.2,), np.zeros(3, int), 90, 12
    )


def test_bars_hold_estimates_and_bounds_and_leave_out_what_is_not_there():
    several = {"one": Interval(0.5, 0.25, 0.875, 12), "two": Interval(-0.25, -0.5, 0.0, 12)}
    groups = {"a": several, "b": {"one": Interval(1.0, 1.0, 1.0, 3), "two": NONE}}
    first, second = interval_bars(groups, x="share").data
    assert list(first.x) == [0.5, -0.25]
    assert list(first.error_x.array) == [0.375, 0.25]
    assert list(first.error_x.arrayminus) == [0.25, 0.25]
    assert list(second.y) == ["one"]
    assert first.customdata[0] == "0.500 [0.250, 0.875], n = 12"
    with pytest.raises(InputError, match="at least one group"):
        interval_bars({"a": {}}, x="share")


def test_the_heat_map_holds_the_rates_by_layer_and_head():
    modes = made_modes()
    figure = modes_map(modes, 4)
    assert figure.data[0].z == pytest.approx(modes.mixture.rates)
    assert list(figure.layout.xaxis.ticktext) == ["L0H0", "L0H2", "L1H0", "L1H2", "L2H0", "L2H2"]
    assert list(figure.layout.yaxis.ticktext) == ["mode 0, 75%", "mode 1, 25%"]
    assert "circuits" in subtitle(figure)
    assert "10 more differ less" in subtitle(modes_map(made_modes(70), 16))


@pytest.mark.parametrize("view", [follows_figures, interval_bars, modes_map])
def test_they_take_the_arguments_that_other_views_take(view):
    parameters = inspect.signature(view).parameters
    assert {parameters[each].kind for each in ("title", "dark")} == {inspect.Parameter.KEYWORD_ONLY}


@needs_browser
def test_odd_names_do_nothing_in_a_browser(browser: Browser, tmp_path):
    bars = interval_bars({"<b>a": {"<img src=x onerror=alert(1)>": Interval(0.5, 0.25, 0.75, 4)}}, x="</script>", title="<i>", dark=True)
    page = save_page({"bars": bars, "modes": modes_map(made_modes(), 4)}, tmp_path / "page.html", "follows")
    browser.open(page, width=500, ready="document.querySelectorAll('.main-svg').length >= 4")
    assert browser.trouble() == []
