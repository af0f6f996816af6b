import json
import socket

import numpy as np
import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.traces.trace import Sources, Trace
from mechdyn.views import tokens
from tests.views.made_up import made_up, random_scores


def props(html: str) -> dict:
    """The data that circuitsvis is called with."""
    call = html.rsplit("CircuitsVis.render(", 1)[1].rsplit(")", 1)[0]
    return json.loads(call[call.index("{") :])


def test_values_are_the_numbers_of_retrieving_heads() -> None:
    scores = random_scores(7)
    drawn = props(tokens(made_up(scores)).html)
    assert drawn["values"] == scores.sum(axis=(1, 2)).tolist()
    assert (drawn["minValue"], drawn["maxValue"]) == (0, max(1, scores.sum(axis=(1, 2)).max()))


def test_no_token_ends_the_script_or_makes_a_tag() -> None:
    html = tokens(made_up(np.ones((3, 1, 1)), texts=["</script><script>alert(1)</script>", "&lt;", " a\n"])).html
    assert html.count("</script>") == 1
    shown = props(html)["tokens"]
    assert shown == ["<\u2060/script><\u2060script>alert(1)<\u2060/script>", "&\u2060lt;", " a\n"]


def test_every_element_is_closed() -> None:
    html = tokens(made_up(np.ones((1, 1, 1)))).html
    outside = html[: html.index("<script")]
    assert outside.count("<div") - outside.count("</div>") == html[html.rindex("</script>") :].count("</div>") == 2


def test_a_notebook_shows_it_without_asking_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    view = tokens(made_up(np.ones((2, 1, 1))))
    assert view._repr_html_() == view.html
    assert "unpkg" not in view.html


def test_a_trace_without_steps_is_refused() -> None:
    with pytest.raises(InputError, match="tokens needs at least one generated token"):
        tokens(made_up(np.zeros((0, 1, 1)), texts=()))


def looking(n_prompt: int, positions: list[int], weights: list[float]) -> Trace:
    """One head at one step over a prompt of words, its needle at 10 to 14."""
    sources = Sources(torch.tensor([[[positions]]], dtype=torch.int32), torch.tensor([[[weights]]]).half())
    texts = tuple(f" w{position}" for position in range(n_prompt))
    return made_up(np.ones((1, 1, 1)), prompt_tokens=torch.arange(n_prompt), prompt_texts=texts, sources=sources)


def test_the_context_is_coloured_by_the_weights_of_one_head() -> None:
    drawn = props(tokens(looking(40, [12, 30], [0.75, 0.25]), 0, (0, 0)).html)
    assert drawn["tokens"] == [f" w{position}" for position in range(40)]
    assert {place: value for place, value in enumerate(drawn["values"]) if value} == {12: 0.75, 30: 0.25}
    assert drawn["maxValue"] == 0.75


def test_of_a_long_context_only_what_lies_round_sources_and_needle_is_drawn() -> None:
    drawn = props(tokens(looking(100_000, [77_777, 5], [0.75, 0.25]), 0, (0, 0)).html)
    assert len(drawn["tokens"]) < 200
    assert {" w0", " w10", " w77777", " w77801"} <= set(drawn["tokens"]) and " w77802" not in drawn["tokens"]
    assert drawn["tokens"].count(" … ") == 2
    assert drawn["values"][drawn["tokens"].index(" w77777")] == 0.75


def test_half_an_attention_is_refused() -> None:
    with pytest.raises(InputError, match="give both step and head"):
        tokens(looking(40, [12], [1.0]), 0)
    with pytest.raises(InputError, match="sources and they were not kept"):
        tokens(made_up(np.ones((1, 1, 1))), 0, (0, 0))
