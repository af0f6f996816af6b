"""The forest plot says what the table says."""

import pytest

from mechdyn.claims.meta_analysis import Together, together
from mechdyn.errors import InputError
from mechdyn.views.over_models import forest
from tests.claims.test_meta_analysis import verdict


def test_a_row_a_model_then_the_mean_and_the_next_model():
    (found,) = together([verdict("a", 0.4), verdict("b<i>", 0.6, 0.3), verdict("c", 0.7)])
    figure = forest(found, dark=True)
    labels = figure.layout.yaxis.ticktext
    assert [label.split("<br>")[0] for label in labels] == ["a", "b&lt;i&gt;", "c", "mean", "next model"]
    models, mean, ahead = figure.data[:3], figure.data[3], figure.data[4]
    assert [list(each.x) for each in models] == [[e.low, e.estimate, e.high] for e in (m.evidence.interval for m in found.models)]
    assert models[1].marker.size[1] < models[0].marker.size[1]
    assert (min(mean.x), max(mean.x)) == (found.found.mean.low, found.found.mean.high)
    assert (min(ahead.x), max(ahead.x)) == found.found.prediction


def test_two_models_have_no_next_one_and_fewer_no_figure():
    (found,) = together([verdict("a"), verdict("b")])
    assert "needs 3 models" in forest(found).layout.yaxis.ticktext[-1] and len(forest(found).data) == 3
    with pytest.raises(InputError, match="two or more models"):
        forest(Together("dynamism", found.models[:1], None))
