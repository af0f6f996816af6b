"""The table and figures of supporting facts show every group, every fact and what was quoted, and take text as it comes."""

import numpy as np
import pytest

from mechdyn.errors import InputError
from mechdyn.studies.facts import fact_report
from mechdyn.views.facts import fact_groups, fact_page, fact_table, fact_timeline
from tests.studies.test_facts import SILENT, question

TRACES = [question("a"), question("b", type="comparison", text="No idea.", fact_scores=[SILENT]), question("c", fact_scores=[])]


def column(table, index):
    return [str(value) for value in table.columns[index].cells]


def test_the_table_has_a_line_for_each_group():
    report = fact_report(TRACES)
    built = fact_table(report, "title")
    assert column(built, 0)[:3] == ["all questions", "type: bridge", "type: comparison"]
    assert column(built, 1)[:3] == ["3", "2", "1"]
    assert built.caption.startswith("3 questions, 0 failed")
    direct = fact_table(fact_report([question(style="direct")]), "title")
    assert column(direct, 7) == ["–"]


def test_a_dot_for_each_group_and_measure():
    report = fact_report(TRACES)
    figure = fact_groups(report, title="<b>m</b>")
    assert len(figure.data) == 8
    for dots in figure.data:
        assert len(dots.x) == len(dots.y) == len(report.groups)
    assert figure.data[0].x[0] == pytest.approx(2 / 3)
    assert figure.layout.title.text == "&lt;b&gt;m&lt;/b&gt;"
    blank = fact_groups(fact_report([question(style="direct")])).data[5]
    assert np.isnan(blank.x[0])


def test_the_timeline_has_a_row_for_each_fact():
    trace = question(text="She was born in Ashford.")
    figure = fact_timeline(trace)
    (cells,) = figure.data
    np.testing.assert_allclose(cells.z, trace.sentence_scores[:, :2].T)
    assert [name.endswith("(quoted)") for name in cells.y] == [False, True]
    assert "Wren Mill, sentence 0" in cells.y[0]
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (0, 1)


def test_text_of_a_data_set_is_escaped_and_cut():
    facts = [["<i>T</i>" * 20, 0], ["Ada Lunt", 0]]
    trace = question(facts=facts, context=[[facts[0][0], ["<b>x</b>"]], ["Ada Lunt", ["y"]], ["Other", ["z"]]])
    (cells,) = fact_timeline(trace).data
    assert "<i>" not in cells.y[0] and len(cells.y[0]) < 200
    assert "<b>" not in cells.text[0][0]


def test_the_page_shows_one_right_and_one_wrong_question():
    assert list(fact_page(fact_report(TRACES), TRACES)) == ["Groups of questions", "A question answered right", "A question answered wrong"]
    assert list(fact_page(fact_report(TRACES[2:]), TRACES[2:])) == ["Groups of questions"]
    failed = [question("e", stopped="error"), TRACES[0]]
    assert list(fact_page(fact_report(failed), failed)) == ["Groups of questions", "A question answered right"]


def test_a_trace_without_steps_has_no_timeline():
    with pytest.raises(InputError, match="a timeline needs at least one generated token"):
        fact_timeline(TRACES[2])
