"""The figure of a verdict says what the verdict says: values are read back from the drawn page and equal the data."""

import dataclasses
import html
import json
import math

import pytest

from mechdyn.errors import InputError
from mechdyn.evidence import Criterion, Outcome, Verdict
from mechdyn.views import for_paper, verdict
from mechdyn.views.page import save_page
from mechdyn.views.verdict_rows import BESIDE_PAPER, COMPARED, REFUTE, SUPPORT, number_of, verdict_rows
from tests.browser import needs_browser
from tests.views.made_up import subtitle
from tests.views.verdicts import NAUGHTY, interval, made_up_verdict

MADE = made_up_verdict()
CONTROLS = [made_up_verdict("planted-static", 0.2), made_up_verdict("planted-dynamic", -0.1)]


def asked(found):
    return [each for criterion in (*found.supports, *found.refutes) for each in criterion.asked]


def test_rows_stand_under_what_they_decide_and_what_a_difference_is_of_follows():
    rows = verdict_rows(MADE)
    groups = {name: [row.of.name for row in rows if row.group == name] for name in (SUPPORT, REFUTE, COMPARED, BESIDE_PAPER)}
    assert groups[SUPPORT] == [each.of.name for criterion in MADE.supports for each in criterion.asked]
    assert groups[REFUTE] == [each.of.name for criterion in MADE.refutes for each in criterion.asked]
    assert groups[COMPARED] == ["top correlation, k = 0, its null"]
    assert groups[BESIDE_PAPER] == ["adjacent Jaccard"]


def test_a_number_is_found_in_another_verdict_by_measure_and_place():
    ahead = MADE.evidence[3]
    assert number_of(CONTROLS[0], ahead).interval.estimate == pytest.approx(0.7)
    assert number_of(Verdict("m", "dynamism", Outcome.REFUTED), ahead) is None


@needs_browser
def test_values_read_back_from_the_page_are_those_of_the_verdict(tmp_path, browser):
    page = save_page([verdict(MADE, controls=CONTROLS)], tmp_path / "page.html", "made up")
    browser.open(page, ready="document.querySelector('.js-plotly-plot')?._fullLayout !== undefined")
    drawn = browser.run(
        "document.querySelector('.js-plotly-plot').data.map(each => ({name: each.name, x: Array.from(each.x), rows: each.customdata}))"
    )
    estimates = [(row[3], row[0], x, row[1], row[2]) for each in drawn if each["name"].startswith("estimate") for row, x in rows_of(each)]
    known = [(r.of.measure, r.of.interval.low, r.of.interval.estimate, r.of.interval.high, r.of.interval.n) for r in verdict_rows(MADE)]
    assert sorted(estimates) == sorted(known)
    bounds = [x for each in drawn if each["name"].startswith("bound") for x in each["x"]]
    assert sorted(bounds) == sorted([0.75, 0.0, 0.4 + 0.05, 0.0, 0.9, 0.0])
    nulls = [x for each in drawn if each["name"] == "null" for x in each["x"]]
    assert sorted(nulls) == sorted(row.of.null for row in verdict_rows(MADE) if row.of.null is not None)
    paper = [x for each in drawn if each["name"] == "the paper's models" for x in each["x"]]
    assert sorted(paper) == [0.2793, 0.31]
    static = [x for each in drawn if each["name"] == "planted-static: supported (control)" for x in each["x"]]
    assert sorted(static) == sorted(number_of(CONTROLS[0], row.of).interval.estimate for row in verdict_rows(MADE))
    assert browser.trouble() == []


def rows_of(trace):
    return zip(trace["rows"], trace["x"], strict=True)


def test_what_is_met_is_filled_and_what_is_not_is_hollow():
    figure = verdict(MADE)
    marks = [
        (row, color)
        for each in figure.data
        if each.name.startswith("estimate")
        for row, color in zip(each.customdata, each.marker.color, strict=True)
    ]
    for row, color in marks:
        assert (color == "#FFFFFF") == row[4].startswith("<b>no:")
    assert sum(color == "#FFFFFF" for _, color in marks) == sum(each.met is False for each in asked(MADE))


def test_numbers_of_two_units_have_an_axis_each_and_all_rows_have_room():
    figure = verdict(MADE, controls=CONTROLS, about="niah · 256 tokens, seed 0")
    assert figure.layout.xaxis2.title.text == "nats" and figure.layout.yaxis.domain[0] > figure.layout.yaxis2.domain[1]
    assert "niah · 256 tokens" in subtitle(figure)
    assert figure.layout.meta["min_width"] <= 400


def test_a_verdict_that_asks_nothing_or_another_claims_control_is_refused():
    silent = Verdict("m", "dynamism", Outcome.INCONCLUSIVE, notes=("3 pairs",))
    with pytest.raises(InputError, match="asks nothing of a number \\(3 pairs\\)"):
        verdict(silent)
    with pytest.raises(InputError, match="controls of dynamism are verdicts on the same claim, got 'alarm'"):
        verdict(MADE, controls=[dataclasses.replace(MADE, claim="alarm")])


def test_a_number_without_bounds_and_an_undefined_criterion_are_drawn():
    share = dataclasses.replace(MADE.evidence[0], interval=interval(0.3, math.nan))
    found = dataclasses.replace(
        MADE, supports=(Criterion.asking("?", dataclasses.replace(MADE.supports[0].asked[0], of=share)),), refutes=()
    )
    assert found.supports[0].met is None
    texts = [note.text for note in verdict(found).layout.annotations]
    assert any(text.startswith("undefined: share") for text in texts)


def test_names_are_escaped_and_the_paper_has_its_copy():
    figure = verdict(dataclasses.replace(MADE, model=NAUGHTY), controls=[dataclasses.replace(CONTROLS[0], model=NAUGHTY)], about=NAUGHTY)
    text = json.dumps(figure.to_dict(), default=str)
    assert NAUGHTY not in text and html.escape(NAUGHTY, quote=False) in html.unescape(text).replace("<", "&lt;").replace(">", "&gt;")
    assert for_paper(figure).layout.width == 315
