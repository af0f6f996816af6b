"""Claims on questions, end to end on the bundled model: what is planned is run and scored by Eq. 2, and judged by the answers' metric."""

import json
from collections import Counter
from pathlib import Path

import pytest

from mechdyn.claims import dynamism, dynamism_first
from mechdyn.errors import InputError
from mechdyn.evidence import Outcome
from mechdyn.plans import Preset
from mechdyn.reports.verdict import save_verdict_figure, verdict_tables
from mechdyn.runs.ablate import ablate
from mechdyn.runs.configs import AblateConfig, ProgressiveConfig, TraceConfig, VerifyConfig
from mechdyn.runs.progressive import progressive
from mechdyn.runs.trace import trace_one
from mechdyn.runs.verify import verify
from mechdyn.studies import conditions, probing
from mechdyn.studies import progressive as progressive_claim
from mechdyn.studies.conditions import CLEAN
from mechdyn.studies.facts import fact_report
from mechdyn.studies.grid import cell_of
from mechdyn.tasks.task import is_correct
from mechdyn.tasks.world import world_items
from mechdyn.traces.store import TraceStore
from mechdyn.views.ablation import ablation_grids

TINY = Preset((256,), n_seeds=1, depths=(0.3, 0.7))


@pytest.fixture(autouse=True)
def few_samples(monkeypatch):
    for module in (dynamism, conditions, probing):
        monkeypatch.setitem(module.PRESETS, "quick", TINY)


@pytest.fixture
def questions(tmp_path):
    file = tmp_path / "questions.json"
    file.write_text(json.dumps(world_items(4, seed=8, n_chains=2)))
    return str(file)


def test_dynamism_on_the_world(tmp_path):
    found = verify(VerifyConfig("dynamism", task="world"), tmp_path / "run")
    manifest = TraceStore.open(tmp_path / "run" / "traces").manifest
    assert (manifest.score, manifest.score_options, manifest.scores) == ("reasoning", {"sink": 4, "local": 32}, "dense")
    assert set(found.traces) == {"detection", "evaluation", "retest"}
    for first, second in zip(found.traces["evaluation"], found.traces["retest"], strict=True):
        assert (first.task, first.threshold, first.question) == ("world", 0.5, second.question)
        assert first.sample != second.sample
    assert [row.name for row in found.verdict.evidence[:2]] == ["em", "f1"]
    assert found.facts == fact_report(found.traces["evaluation"])
    assert json.loads((tmp_path / "run" / "facts.json").read_text())["groups"][0]["n"] == 2
    assert found.facts.groups[0].measures["sp EM"].estimate in (0.5, 1.0)
    (shown,) = verdict_tables(found.verdict)
    assert not any("paper" in header for header in shown.columns)
    assert save_verdict_figure(found.verdict, found.traces, tmp_path).name == "timeline.html"


def test_dynamism_on_a_file_is_held_against_the_same_questions_in_another_order(tmp_path, questions, monkeypatch):
    monkeypatch.setattr(dynamism_first, "MIN_RETRIEVING_SAMPLES", 1)
    found = verify(VerifyConfig("dynamism", task="hotpotqa", data=questions), tmp_path / "run")
    assert set(found.traces) == {"detection", "evaluation", "retest"}
    pairs = list(zip(found.traces["evaluation"], found.traces["retest"], strict=True))
    assert all((one.question, one.answer) == (other.question, other.answer) and one.sample != other.sample for one, other in pairs)
    assert found.verdict.facts["retest_pairs"] == sum(_right(one) and _right(other) for one, other in pairs) > 0
    (first,) = found.verdict.beside
    assert [len(first.supports), len(first.refutes)] == [3, 3]
    again = verify(VerifyConfig("dynamism", task="hotpotqa", data=questions), tmp_path / "run")
    assert again.verdict == found.verdict


def _right(trace):
    return is_correct(trace.task, trace.text, trace.answer)


def test_irreplaceability_is_judged_on_f1(tmp_path, monkeypatch):
    monkeypatch.setitem(conditions.PRESETS, "quick", Preset((256,), n_seeds=1, depths=(0.5,)))
    found = verify(VerifyConfig("irreplaceability", task="world"), tmp_path / "run")
    assert found.verdict.facts["metric"] == "f1"
    assert save_verdict_figure(found.verdict, found.traces, tmp_path).name == "ablation.html"


def test_the_grid_of_a_file_has_cells_where_its_questions_lie(tmp_path, questions):
    config = AblateConfig(task="hotpotqa", data=questions, conditions=("clean", "dynamic"))
    found = ablate(config, tmp_path / "run")
    assert [(row.condition, row.commit, row.n_samples) for row in found.rows] == [
        ("clean", None, 2),
        ("dynamic", "clean", 2),
        ("dynamic", "ablated", 2),
    ]
    for row in found.rows:
        assert {(cell.length, cell.depth): cell.n for cell in row.cells} == Counter(map(cell_of, found.traces[CLEAN]))
    assert found.traces[CLEAN][0].threshold == 0.5
    figures = ablation_grids(found.traces)
    assert {name.partition(",")[0] for name in figures} == {"em", "f1"}


def test_a_grid_without_a_right_answer_says_so(tmp_path, questions):
    spoiled = tmp_path / "spoiled.json"
    spoiled.write_text(json.dumps([{**item, "answer": "nobody"} for item in json.loads(Path(questions).read_text())]))
    with pytest.raises(InputError, match="none of the 2 detection samples was answered correctly"):
        ablate(AblateConfig(task="hotpotqa", data=str(spoiled)), tmp_path / "run")


def test_progressive_ablation_on_the_world(tmp_path, monkeypatch):
    monkeypatch.setitem(progressive_claim.PRESETS, "quick", Preset((256,), n_seeds=3, depths=(0.5,)))
    found = progressive(ProgressiveConfig(task="world", masked=(0, 1)), tmp_path / "run")
    for points in found.points.values():
        assert [point.k for point in points] == [0, 1]
        assert [set(point.quality) for point in points] == [{"f1", "em"}] * 2
        assert points[0].quality["em"].estimate > 0 and points[0].heads_off.estimate == 0.0
        assert 0 < points[1].heads_off.estimate <= 1
    with pytest.raises(InputError, match="task world has no use for --haystack"):
        progressive(ProgressiveConfig(task="world", haystack="h.txt"), tmp_path / "other")


def test_correlation_takes_the_same_samples_and_says_why_it_cannot_tell(tmp_path):
    found = verify(VerifyConfig("correlation", task="world", style="direct"), tmp_path / "run")
    assert found.verdict.outcome is Outcome.INCONCLUSIVE and "20 are needed" in found.verdict.notes[0]
    assert {(trace.task, trace.meta["style"]) for trace in found.traces["evaluation"]} == {("world", "direct")}


def test_one_question_of_a_file(tmp_path, questions):
    items = json.loads(Path(questions).read_text())
    found, folder = trace_one(TraceConfig(task="hotpotqa", data=questions, sample=items[3]["_id"]), tmp_path / "run")
    assert (found.question, found.threshold) == (items[3]["question"], 0.5)
    first, _ = trace_one(TraceConfig(task="hotpotqa", data=questions), tmp_path / "other")
    assert first.question == items[0]["question"] and folder.name == "run"
