"""The page of a question's logs, and the tables and figures of a run."""

import dataclasses
import json
import re
from io import StringIO

import pytest
from rich.console import Console

from mechdyn.claims.dynamic_rag import judge_rag, rag_row
from mechdyn.errors import InputError
from mechdyn.rag.strategies import Direct
from mechdyn.rag.visibility import record
from mechdyn.reports.results import rag_tables
from mechdyn.stats.resampling import Interval
from mechdyn.views.curves import sweep_figures
from mechdyn.views.rag import rag_sample, save_rag_page
from tests.browser import Browser, needs_browser
from tests.claims.test_dynamic_rag import QUESTIONS
from tests.claims.test_dynamic_rag import logs as made_up_logs
from tests.rag.scripted import Script, said

EVIL = "<script>alert(1)</script>"
ONE, TWO = "The mill is in Bordford.", " The owner is Carla Benson."


@pytest.fixture(scope="module")
def question():
    return record(Script().context)


@pytest.fixture(scope="module")
def logs():
    with_retrieval = Script(said(ONE + TWO, doubt=["Carla"]), said(f" It is {EVIL} & co. And", "sentence"), said(""), k=3, window=4)
    return {"oracle": with_retrieval.run(), "full-context": Script(said(ONE)).run(Direct(whole=True))}


def spans_of(html):
    """(classes, text) of every piece of the shown context."""
    return re.findall(r'<span class="((?:shown|hidden)(?: fact)?)">(.*?)</span>', html.split('<div class="context"')[1], re.DOTALL)


def test_the_context_is_whole_with_its_windows_and_facts_marked(question, logs):
    pieces = spans_of(rag_sample(question, logs).html)
    start, end = question.context
    assert "".join(text for _, text in pieces) == question.prompt[start:end], "no character of this context needs escaping"
    (window,) = logs["oracle"].retrievals[0].windows
    assert "".join(text for kind, text in pieces if kind.startswith("shown")) == window.text
    facts = sorted(question.facts)
    assert "".join(text for kind, text in pieces if kind.endswith("fact")) == "".join(question.prompt[a:b] for a, b in facts)


def test_draft_rewrite_heads_and_rind_are_told(question, logs):
    html = rag_sample(question, logs).html
    log = logs["oracle"]
    assert "1 retrieval, 5 context tokens shown; ended by itself" in html
    assert f"Heads: {' '.join(log.retrievals[0].heads)}. 1 windows, 5 tokens" in html
    assert "<s> The owner is Carla Benson.</s>" in html and 'class="md-rind"' in html
    assert "(the draft is empty)" in html and "0 retrievals" in html


def test_model_text_is_text(question, logs):
    html = rag_sample(dataclasses.replace(question, question=EVIL, answer="<b>"), logs).html
    assert "<script" not in html and "&lt;script&gt;alert(1)&lt;/script&gt;" in html and "Expected: <b>&lt;b&gt;</b>" in html


def test_logs_of_another_question_are_refused(question, logs):
    with pytest.raises(InputError, match="must be of the question"):
        rag_sample(dataclasses.replace(question, sample="another"), logs)
    with pytest.raises(InputError, match="got none"):
        rag_sample(question, {})


def test_the_page_loads_nothing_and_begins_where_strategies_differ(question, logs, tmp_path):
    same = {name: logs["oracle"] for name in logs}
    rows = [same, logs]
    page = save_rag_page([question, question], {name: [row[name] for row in rows] for name in logs}, tmp_path, n=1)
    text = page.read_text()
    assert "Question 2" in text and "Question 1" not in text
    assert "plotly" not in text and "://" not in text and "src=" not in text


@needs_browser
def test_a_narrow_screen_shows_it_all(browser: Browser, question, logs, tmp_path):
    page = save_rag_page([question], {name: [log] for name, log in logs.items()}, tmp_path)
    browser.open(page, width=400)
    assert browser.trouble() == []
    assert browser.run("document.querySelectorAll('.context .shown').length") == 1


def printed(tables):
    out = StringIO()
    for table in tables:
        Console(file=out, width=240).print(table)
    return out.getvalue()


def test_tables_tell_strategies_differences_and_the_paper():
    logs = {name: made_up_logs(name, [True] * 20 + [False] * 10) for name in ("dynamic", "static", "oracle")}
    logs["full-context"] = made_up_logs("full-context", [True] * 30, facts=())
    rows = [rag_row(name, QUESTIONS, found) for name, found in logs.items()]
    text = printed(rag_tables(rows, judge_rag("made up", QUESTIONS, logs)))
    assert "dynamic RAG on made up: inconclusive" in text
    assert re.search(r"F1, dynamic less static\s+│ 0.000 \[0.000, 0.000\]", text)
    assert "static: the top heads of a detection set" in text and "0.667 [0.500" in text
    assert "0.398 / 0.5098" in text and "F1, full-context less oracle" in text


def test_a_sweep_draws_a_line_for_each_strategy():
    points = {0.8: Interval(0.2, 0.1, 0.3, 9), 1.2: Interval(0.4, 0.3, 0.5, 9)}
    figures = sweep_figures({"threshold": {"oracle": points, "static": points}, "k": {"oracle": {4: points[0.8]}}})
    assert list(figures) == ["F1 against threshold", "F1 against k"]
    lines = [trace for trace in figures["F1 against threshold"].data if trace.name]
    assert [line.name for line in lines] == ["oracle", "static"] and list(lines[0].x) == [0.8, 1.2]
    assert json.loads(figures["F1 against k"].to_json())["layout"]["xaxis"]["title"]["text"] == "k"
