"""The page of a question's logs."""

import dataclasses
import re

import pytest

from mechdyn.errors import InputError
from mechdyn.rag.strategies import FullContext
from mechdyn.rag.visibility import record
from mechdyn.views.rag import rag_sample, save_rag_page
from tests.browser import Browser, needs_browser
from tests.rag.scripted import Script, said

EVIL, TAG = "<script>alert(1)</script>", "<img src=x onerror=alert(1)>"
ONE, TWO = "The mill is in Bordford.", " The owner is Carla Benson."


@pytest.fixture(scope="module")
def question():
    return record(Script().context)


@pytest.fixture(scope="module")
def logs():
    with_retrieval = Script(said(ONE + TWO, doubt=["Carla"]), said(f" It is {EVIL} & co. And", "sentence"), said(""), k=3, window=4)
    return {"oracle": with_retrieval.run(), "full-context": Script(said(ONE)).run(FullContext())}


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


def test_a_doctored_log_is_text_wherever_it_is_shown(question, logs):
    rounds = tuple(dataclasses.replace(each, kept=TAG, rewritten=TAG, heads=(TAG,)) for each in logs["oracle"].rounds)
    log = dataclasses.replace(logs["oracle"], stopped=TAG, text=TAG, rounds=rounds)
    html = rag_sample(dataclasses.replace(question, question=TAG), {TAG: log}).html
    assert "<img" not in html and html.count("&lt;img src=x onerror=") == 4 + 3 * len(log.retrievals)


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
def test_a_doctored_log_runs_nothing(browser: Browser, question, logs, tmp_path):
    log = dataclasses.replace(logs["oracle"], stopped=TAG, text=TAG)
    browser.open(save_rag_page([question], {"oracle": [log]}, tmp_path))
    assert browser.trouble() == [] and TAG in browser.text("summary")


@needs_browser
def test_a_narrow_screen_shows_it_all(browser: Browser, question, logs, tmp_path):
    page = save_rag_page([question], {name: [log] for name, log in logs.items()}, tmp_path)
    browser.open(page, width=400)
    assert browser.trouble() == []
    assert browser.run("document.querySelectorAll('.in-light .context .shown').length") == 1
