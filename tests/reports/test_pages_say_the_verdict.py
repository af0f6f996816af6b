"""What the page of each claim shows, in its tables and in the figure's data, are the verdict's own numbers, each at its own place.

The verdicts are of runs on `mini`; every number in them is replaced by a fresh random one, so that one at a wrong place would be seen.
"""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mechdyn.claims.claim import CLAIMS
from mechdyn.evidence import Evidence, Verdict
from mechdyn.reports.page import report_html
from mechdyn.reports.sections import Report, Section
from mechdyn.reports.verdict import verdict_figures, verdict_tables
from mechdyn.stats.interval import Interval
from tests.views.reading import html_tables

RECORDED = json.loads(Path(__file__).with_name("recorded_verdicts.json").read_text(encoding="utf-8"))
ESTIMATE = "estimate (hollow: not met)"
TRIPLE = re.compile(r"(-?\d+\.\d+) \[(-?\d+\.\d+), (-?\d+\.\d+)\]")


def fresh(claim: str) -> Verdict:
    """The recorded verdict with a new estimate and interval for each measure and place, the same wherever the number stands."""
    rng, drawn = np.random.default_rng(), {}

    def new(evidence: Evidence) -> Evidence:
        if np.isnan(evidence.interval.estimate):
            return evidence
        key = (evidence.measure, json.dumps(evidence.at, sort_keys=True))
        low, estimate, high = drawn.setdefault(key, np.sort(rng.uniform(-900, 900, 3)).tolist())
        return replace(evidence, interval=replace(evidence.interval, estimate=estimate, low=low, high=high))

    def renewed(verdict: Verdict) -> Verdict:
        def criteria(found):
            return tuple(replace(each, asked=tuple(map(demand, each.asked))) for each in found)

        def demand(asked):
            return replace(asked, of=new(asked.of), bound=new(asked.bound) if isinstance(asked.bound, Evidence) else asked.bound)

        evidence, beside = tuple(map(new, verdict.evidence)), tuple(map(renewed, verdict.beside))
        return replace(verdict, evidence=evidence, supports=criteria(verdict.supports), refutes=criteria(verdict.refutes), beside=beside)

    return renewed(Verdict.from_json(RECORDED[claim]))


def page_of(verdict: Verdict) -> str:
    figures = verdict_figures(verdict, {})[1]
    tables = tuple(verdict_tables(verdict))
    section = Section(verdict.claim, "mechdyn verify", tables, figures, verdict.reasons)
    return report_html(Report(verdict.claim, None, (section,), tables[0], ()))


def all_of(verdict: Verdict) -> list[Evidence]:
    return [evidence for each in (verdict, *verdict.beside) for evidence in each.evidence]


def rounded(interval: Interval, digits: int) -> tuple[str, ...]:
    return tuple(f"{value:.{digits}f}" for value in (interval.estimate, interval.low, interval.high))


def test_every_claim_has_a_verdict_to_be_shown():
    assert set(RECORDED) == set(CLAIMS.names())


@pytest.mark.parametrize("claim", RECORDED)
def test_every_number_of_a_table_is_the_verdict_s_at_the_place_that_its_row_and_column_name(claim):
    verdict = fresh(claim)
    shown = set()
    for table in page_of(verdict).split("<table>")[1:]:
        caption = "".join(re.findall("<caption>(.*?)</caption>", table))
        rows = html_tables(f"<table>{table}")[0]
        for row in rows[1:]:
            words = [caption, *(cell for cell in row if not TRIPLE.search(cell))]
            for heading, cell in zip(rows[0], row, strict=True):
                for found in TRIPLE.findall(cell):
                    digits = len(found[0].partition(".")[2])
                    (number,) = {each.name: each for each in all_of(verdict) if rounded(each.interval, digits) == found}.values()
                    place = " ".join([*words, heading])
                    assert number.name == row[0] or all(value in place for value in named(number)), (number.name, place)
                    shown.add(number.name)
    plain = [evidence.name for evidence in all_of(verdict) if not np.isnan(evidence.interval.low)]
    assert shown and (claim in OWN_LAYOUT or shown == set(plain))


OWN_LAYOUT = ("alarm", "irreplaceability", "step_budgets")
"""Claims whose tables are not a line for each piece of evidence: they leave some out."""


def named(evidence: Evidence) -> list[str]:
    """Where a number was measured, as tables write it: shares as `10 %`."""
    return [f"{100 * value:g} %" if isinstance(value, float) else str(value) for value in evidence.at.values()]


@pytest.mark.parametrize("claim", RECORDED)
def test_the_figures_hold_the_numbers_that_the_criteria_ask_for_to_the_last_digit(claim):
    verdict = fresh(claim)
    drawn = [
        figure for figure in figures_of(page_of(verdict)) if any(trace.get("name") == "estimate (hollow: not met)" for trace in figure)
    ]
    judged = [each for each in (verdict, *verdict.beside) if any(criterion.asked for criterion in (*each.supports, *each.refutes))]
    assert len(drawn) == len(judged)
    assert judged or "There is no figure, since no criterion was put to numbers here" in page_of(verdict)
    for figure, each in zip(drawn, judged, strict=True):
        estimates = [trace for trace in figure if trace["name"] == ESTIMATE]
        points = [(x, *told[:4]) for trace in estimates for x, told in zip(trace["x"], trace["customdata"], strict=True)]
        asked = [asked.of for criterion in (*each.supports, *each.refutes) for asked in criterion.asked]
        for evidence in asked:
            assert point(evidence) in points
        known = [*map(point, asked), *(point(evidence) for other in (each, verdict) for evidence in all_of(other))]
        bounds = [asked.bound for criterion in (*each.supports, *each.refutes) for asked in criterion.asked]
        known += [point(bound) for bound in bounds if isinstance(bound, Evidence)]
        assert all(shown in known for shown in points)


def point(evidence: Evidence) -> tuple[object, ...]:
    interval = evidence.interval
    known = [None if np.isnan(value) else value for value in (interval.estimate, interval.low, interval.high)]
    return (*known, interval.n, evidence.measure)


def figures_of(page: str) -> list[list[dict]]:
    """The traces of each plotly figure, from the page's own scripts."""
    decoder = json.JSONDecoder()
    starts = [found.end() for found in re.finditer(r"drawInLook\(\"figure-\d+\", ", page)]
    looks = [decoder.raw_decode(page, start) for start in starts]
    for light, end in looks:
        dark = decoder.raw_decode(page, end + len(", "))[0]
        assert list(map(numbers_of, light["data"])) == list(map(numbers_of, dark["data"]))
    return [light["data"] for light, _ in looks]


def numbers_of(trace: dict) -> list[object]:
    """What a trace shows, whatever its colours."""
    return [trace.get(name) for name in ("name", "x", "y", "z", "text", "customdata")]
