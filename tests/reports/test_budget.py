"""A budget in words: times in the unit that fits."""

import pytest

from mechdyn.text import duration_text


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0 s"),
        (0.0002, "under 0.001 s"),
        (0.324, "0.324 s"),
        (95.04, "95 s"),
        (119.6, "120 s"),
        (750.0, "12.5 min"),
        (7199.0, "120 min"),
        (7200.0, "2 h"),
        (4_464_000.0, "1,240 h"),
    ],
)
def test_a_time_has_the_unit_that_fits(seconds: float, shown: str) -> None:
    assert duration_text(seconds) == shown
