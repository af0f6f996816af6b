"""Tables of results say what was measured, line by line, and set the paper's values beside them."""

import pytest

from mechdyn.claims.dynamic_rag import judge_rag
from mechdyn.claims.sensitivity import SensitivityCell
from mechdyn.errors import InputError
from mechdyn.evidence import Outcome, Table, Verdict
from mechdyn.paper.values import FIGURE_4_TOP_1, TABLE_2
from mechdyn.probes.baselines import BaseRate, StepRate
from mechdyn.probes.dataset import probe_data
from mechdyn.probes.report import compare
from mechdyn.reports.results import (
    correlations_table,
    fact_table,
    grid_table,
    probe_table,
    progressive_table,
    rag_tables,
    sensitivity_table,
)
from mechdyn.stats.cca_offsets import cca_by_offset
from mechdyn.studies.conditions import CLEAN, COMMITS, DYNAMIC, detect
from mechdyn.studies.facts import fact_report
from mechdyn.studies.grid import grid_rows
from mechdyn.studies.progressive import progressive_point, progressive_role
from mechdyn.studies.rag import rag_row
from tests.probes.made_up import planted_traces, random_traces
from tests.studies.made_up import experiment, made_up
from tests.studies.rag_logs import QUESTIONS
from tests.studies.rag_logs import logs as made_up_logs
from tests.studies.test_facts import question
from tests.views.test_facts import TRACES
from tests.views.test_sensitivity import CELLS


def column(table: Table, name: str) -> list[str]:
    return [row[table.columns.index(name)] for row in table.rows]


def lines(table: Table) -> dict[str, tuple[str, ...]]:
    return {row[0]: row for row in table.rows}


def test_the_grid_has_a_line_a_condition_and_commit_rule():
    table = grid_table(grid_rows(experiment({DYNAMIC: 10}, n=20)), "Ablation on a model")
    assert len(table.rows) == 1 + 7 * 2
    assert lines(table)["clean: no head off"][2] == "1.000 [0.839, 1.000]"
    assert table.caption == "intervals: Wilson, no spread, BCa bootstrap"
    assert lines(table)["dynamic: the step's retrieval heads"][2].startswith("0.500 [")
    assert set(column(table, "n")) == {"20"} and set(column(table, "failed")) == {"0"}


def test_progressive_ablation_has_a_line_a_commit_rule_and_k():
    ranking = detect([made_up(0)]).ranking
    rows = {CLEAN: [made_up(seed) for seed in range(4)]}
    rows |= {progressive_role(2, commit): [made_up(seed, right=seed < 2, n_ablated=2) for seed in range(4)] for commit in COMMITS}
    points = {commit: tuple(progressive_point(k, commit, rows, ranking) for k in (0, 2)) for commit in COMMITS}
    table = progressive_table(points, "Progressive ablation")
    assert [row[:2] for row in table.rows] == [(commit, k) for commit in COMMITS for k in ("0", "2")]
    assert [cell[:5] for cell in column(table, "accuracy")] == ["1.000", "0.500"] * 2


def test_facts_have_a_line_for_each_group():
    table = fact_table(fact_report(TRACES), "title")
    assert column(table, "questions")[:3] == ["all questions", "type: bridge", "type: comparison"]
    assert column(table, "n")[:3] == ["3", "2", "1"]
    assert table.caption.startswith("3 questions, 0 failed")
    direct = fact_table(fact_report([question(style="direct")]), "title")
    assert column(direct, "facts quoted") == ["–"]


def test_correlations_have_the_papers_beside_them_where_it_has_some():
    traces = planted_traces((0, 1), n_samples=12)
    result = cca_by_offset([(trace.hidden.numpy(), trace.retrieval_scores.flatten(1).numpy()) for trace in traces], (0, 1))
    table = correlations_table(result.offsets, "title")
    assert column(table, "k") == ["0", "1"] and column(table, "paper, in sample") == [str(FIGURE_4_TOP_1[0]), str(FIGURE_4_TOP_1[1])]
    for at, cell in zip(result.offsets, column(table, "held out"), strict=True):
        assert cell.startswith(f"{at.held_out.means[1].estimate:.3f}")
    assert table.droppable == ("paper, in sample",)
    assert "paper, in sample" not in correlations_table(result.offsets, "title", paper=False).columns


def test_probes_have_a_line_for_each_predictor_and_for_each_of_the_papers_models():
    data = probe_data(random_traces(40))
    predictors = {"rate of the step": StepRate.of(data), "base rate": BaseRate.of(data)}
    table = probe_table(compare(predictors, data), "title")
    assert column(table, "predictor (95 % by sample)") == [*predictors, *(f"paper: {name}" for name in TABLE_2)]
    assert column(table, "auprc")[2] == "0.9173"
    scores = probe_data(random_traces(40, binary=False), binary=False)
    regressors = probe_table(compare({"base rate": BaseRate.of(scores)}, scores), "title")
    assert regressors.columns[1:] == ("mse", "mae", "r2", "r2_weighted")
    with pytest.raises(InputError, match="at least one report"):
        probe_table({}, "title")


def test_settings_have_the_reference_marked_and_what_flips():
    table = sensitivity_table(CELLS, "title")
    assert column(table, "") == ["reference", "flips", "flips", ""]
    assert column(table, "verdict") == ["supported", "refuted", "inconclusive", "supported"]
    assert column(table, "Q")[1].startswith("0.125")
    assert table.caption == "2 of 4 verdicts are not supported, which is that of sink 4, local 32, threshold 0.5"


def test_what_was_not_measured_is_told():
    bare = SensitivityCell(4, 32, 0.5, Verdict("m", "dynamism", Outcome.INCONCLUSIVE))
    assert column(sensitivity_table([bare], "title"), "Q") == ["undefined"]


def test_dynamic_rag_has_strategies_differences_and_the_papers_table():
    logs = {name: made_up_logs(name, [True] * 20 + [False] * 10) for name in ("dynamic", "static", "oracle")}
    logs["full-context"] = made_up_logs("full-context", [True] * 30, facts=())
    rows = [rag_row(name, QUESTIONS, found) for name, found in logs.items()]
    reached, shown, differences, paper = rag_tables(rows, judge_rag("made up", QUESTIONS, logs))
    assert reached.title == "dynamic RAG on made up: inconclusive"
    assert lines(reached)["static: the top heads of a detection set"][1].startswith("0.667 [0.488")
    assert [row[0].partition(":")[0] for row in shown.rows] == ["dynamic", "static", "oracle"]
    assert lines(differences)["F1, dynamic less static"][1] == "0.000 [-0.114, 0.114]"
    assert "F1, full-context less oracle" in lines(differences)
    assert any("0.398 / 0.5098" in row for row in paper.rows)
