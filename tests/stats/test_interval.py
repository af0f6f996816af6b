"""What an interval says of itself, in words and in files."""

import math

from mechdyn.stats.interval import Interval


def test_prints_estimate_and_bounds():
    interval = Interval(0.3512, 0.312, 0.3901, 40, "Wilson")
    assert str(interval) == "0.351 [0.312, 0.390]"
    assert f"{interval:.1f}" == "0.4 [0.3, 0.4]"
    assert str(Interval(0.5, math.nan, math.nan, 1)) == "0.500 (no interval)"
    assert str(Interval(math.nan, math.nan, math.nan, 0)) == "nan [nan, nan]"


def test_files_of_earlier_releases_name_no_method():
    fields = {"estimate": 0.5, "low": None, "high": 0.9, "n": 7}
    old = Interval.from_json(fields)
    assert (old.method, old.n, math.isnan(old.low)) == ("", 7, True)
    assert Interval.from_json(fields | {"method": "Tango"}).method == "Tango"
