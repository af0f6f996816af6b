"""Every claim's verdict prints: its own layout where it has one, a line for each piece of evidence elsewhere."""

import dataclasses
import io
import math

import pytest
from rich.console import Console

from mechdyn.claims.irreplaceability import Irreplaceability
from mechdyn.evidence import FIRST, SECOND, Criterion, Evidence, Outcome, Verdict
from mechdyn.plans import Request
from mechdyn.registry import Registry
from mechdyn.reports import verdict as verdict_module
from mechdyn.reports.evidence_figures import evidence_figures
from mechdyn.reports.verdict import Layout, print_verdict, save_verdict_figure, verdict_figures
from mechdyn.stats.interval import Interval
from mechdyn.studies.conditions import CONDITIONS, DETECTION_ROLE, DYNAMIC, STATIC_MATCHED
from mechdyn.tasks.niah import Niah
from mechdyn.views.timeline import timeline
from tests.studies.made_up import MODEL, experiment, made_up
from tests.views.verdicts import made_up_verdict

PLAIN = Verdict(
    "mini",
    "correlation",
    Outcome.SUPPORTED,
    (
        Evidence("overlap", Interval(0.9, 0.8, 0.95, 30), {"k": 0, "samples": "held out"}, null=0.2),
        Evidence("k = 1", Interval(0.5, math.nan, math.nan, 1), note="one sample"),
        Evidence("k = 2", Interval(math.nan, math.nan, math.nan, 0)),
    ),
    (Criterion("[brackets] are not markup", True), Criterion("there are three", None)),
    (Criterion("there are none", False),),
    ("one was left out",),
)


def printed(verdict):
    console = Console(width=220, record=True, file=io.StringIO(), force_terminal=True)
    print_verdict(verdict, console)
    return console.export_text()


def line(text, start):
    (found,) = [row for row in text.splitlines() if row.strip("│ ").startswith(start)]
    return [cell.strip() for cell in found.strip("│").split("│")]


def test_a_claim_without_a_layout_has_a_line_a_piece_of_evidence():
    text = printed(PLAIN)
    assert line(text, "overlap") == ["overlap, k = 0, held out", "0.900 [0.800, 0.950]", "30", "0.200"]
    assert line(text, "k = 1") == ["k = 1", "0.500 (no interval) (one sample)", "1", ""]
    assert line(text, "k = 2") == ["k = 2", "undefined (n = 0)", "0", ""]
    told = [row.rstrip() for row in text.splitlines()][-7:]
    assert told == [
        "  to support, all of:",
        "    yes: [brackets] are not markup",
        "    undefined: there are three",
        "  to refute, any of:",
        "    no: there are none",
        "  one was left out",
        "correlation on mini: supported",
    ]


def test_verdicts_under_other_criteria_come_before_the_headline():
    first = dataclasses.replace(PLAIN, outcome=Outcome.REFUTED, named=FIRST, evidence=PLAIN.evidence[:1])
    text = printed(dataclasses.replace(PLAIN, named=SECOND, beside=(first,)))
    told = [row.rstrip() for row in text.splitlines()]
    assert told.index(f"correlation on mini, {FIRST}: refuted") < told.index(f"correlation on mini, {SECOND}: supported") == len(told) - 1
    assert sum(row.strip("│ ").startswith("overlap, k = 0") for row in told) == 2
    assert all(sum(name in row for row in told) == 2 for name in (FIRST, SECOND))


def test_irreplaceability_has_a_table_for_each_commit_rule():
    verdict = Irreplaceability().judge(Request(MODEL, Niah()), experiment({DYNAMIC: 2, STATIC_MATCHED: 2}, n=80))
    text = printed(verdict)
    for condition in CONDITIONS:
        assert sum(row.strip("│ ").startswith(f"{condition}: ") for row in text.splitlines()) == 2
    first = next(row for row in text.splitlines() if row.strip("│ ").startswith("static-matched"))
    cells = [cell.strip() for cell in first.strip("│").split("│")]
    assert (cells[1], *cells[3:]) == ("0.025 [0.007, 0.087]", "0.000 [-0.046, 0.046]", "3.0 [3.0, 3.0]")
    assert "80 samples in every condition (0 failed)" in text and "average size 3; 80 of 80 detection samples correct" in text
    assert "leaves open whether it matters which heads are off, or only how many at which step" in " ".join(text.split())
    assert f"irreplaceability on made up, {FIRST}: refuted" in text
    assert f"irreplaceability on made up, {SECOND}: inconclusive" in text and "this run has no effects along the clean answers" in text


def test_a_verdict_without_evidence_prints_its_reason():
    wrong = {DETECTION_ROLE: [made_up(seed, right=False) for seed in range(3)]}
    verdict = Irreplaceability().judge(Request(MODEL, Niah()), wrong)
    text = printed(verdict)
    assert "no detection sample was answered correctly" in text
    assert f"irreplaceability on made up, {SECOND}: inconclusive" in text


def test_a_verdict_of_the_first_release_has_a_line_a_piece_of_evidence():
    verdict = Irreplaceability().judge(Request(MODEL, Niah()), experiment({DYNAMIC: 2}))
    recorded = verdict.as_json()
    for row in recorded["evidence"]:
        del row["measure"], row["at"]
    for name in ("supports", "refutes", "notes", "named", "beside"):
        del recorded[name]
    text = printed(Verdict.from_json(recorded))
    for evidence in verdict.evidence:
        assert line(text, f"{evidence.name} ")[2] == "40"
    assert all(" ".join(reason.split()) in " ".join(text.split()) for reason in verdict.reasons)


def test_a_claim_without_a_layout_shows_its_evidence_and_one_sample(tmp_path):
    verdict = dataclasses.replace(PLAIN, claim="of somebody else")
    assert line(printed(verdict), "k = 2") == ["k = 2", "undefined (n = 0)", "0", ""]
    path = save_verdict_figure(verdict, {"their role": [made_up(0)]}, tmp_path)
    assert path == tmp_path / "timeline.html"
    assert save_verdict_figure(verdict, {}, tmp_path) is None


def test_a_layout_of_ones_own_is_taken(tmp_path, monkeypatch):
    own = Registry("layout", "mechdyn.reports.verdict")
    monkeypatch.setattr(verdict_module, "LAYOUTS", own)
    own.register("mine", Layout(figures=lambda verdict, traces: {verdict.model: timeline(traces["a"][0])}, page="drawn"))
    verdict = dataclasses.replace(PLAIN, claim="mine")
    assert verdict_figures(verdict, {"a": [made_up(0)]})[0] == "drawn"
    assert save_verdict_figure(verdict, {"a": [made_up(0)]}, tmp_path) == tmp_path / "drawn.html"
    assert line(printed(verdict), "overlap")[1] == "0.900 [0.800, 0.950]"


def test_figures_are_saved_as_one_page(tmp_path):
    traces = experiment({DYNAMIC: 2}, n=20)
    path = save_verdict_figure(Irreplaceability().judge(Request(MODEL, Niah()), traces), traces, tmp_path)
    assert path == tmp_path / "ablation.html"
    page = path.read_text()
    assert page.count("<section") == 11 and "There is no figure, since no criterion was put to numbers here" in page


@pytest.mark.parametrize("n_steps", [8, 0])
def test_a_claim_that_stopped_early_shows_a_sample_if_there_is_one(tmp_path, n_steps):
    traces = {DETECTION_ROLE: [made_up(seed, right=False) for seed in range(3)]}
    if n_steps == 0:
        traces = {DETECTION_ROLE: []}
    verdict = Verdict("m", "irreplaceability", Outcome.INCONCLUSIVE, ())
    path = save_verdict_figure(verdict, traces, tmp_path)
    assert (path is None) == (n_steps == 0)


def test_what_decides_stands_first_and_says_what_is_lacking_where_no_criterion_could_be_put():
    why = "12 retest pairs <retrieve>; 20 are needed"
    first = dataclasses.replace(made_up_verdict(), named=FIRST)
    lacking = Verdict("mini", "dynamism", Outcome.INCONCLUSIVE, PLAIN.evidence, notes=(why,), named=SECOND, beside=(first,))
    figures = evidence_figures(lacking)
    (heading, said), (below, drawn) = figures.items()
    assert SECOND in heading and "decide" in heading and FIRST in below
    assert "12 retest pairs &lt;retrieve&gt;; 20 are needed" in said.html and f"{SECOND}: inconclusive" in said.html
    for view in (drawn.light, drawn.dark):
        assert view.layout.title.text.replace("<br>", " ") == f"dynamism on mini, {FIRST}: supported"
    (alone,) = evidence_figures(made_up_verdict())
    assert alone == "What the verdict rests on"
