"""What is taken home is what was on the page, and the Python beside it makes the same."""

import base64
import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from experiments.gallery.examples import Made, made_effect
from mechdyn.app.ask import Ask
from mechdyn.app.bench import Bench, Entry
from mechdyn.app.export import figures, heads_of_upload, npz, snippet
from mechdyn.errors import InputError
from mechdyn.heads import Head, RankedHeads
from mechdyn.models.load import load_model
from mechdyn.traces.trace import Trace
from tests.views.made_up import made_up, random_scores

ASKS = [
    Ask('The "magic" word is ab\\cd.', "What is the 'magic' word?", length=200, depth=0.25, seed=3, new_tokens=3),
    Ask("The magic word is zed.", "What is the magic word?", haystack="A bee\nhummed. " * 20, depth=0.5, new_tokens=3),
]


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench(load_model("mini"))


def finished(bench: Bench, name: str) -> tuple[Entry, Trace]:
    entry = bench.entry(name)
    assert entry is not None
    trace = entry.job.wait(60.0).trace
    assert trace is not None
    return entry, trace


@pytest.mark.parametrize("ask", ASKS, ids=["procedural", "own"])
def test_the_python_makes_the_same_traces(bench: Bench, ask: Ask) -> None:
    entry, clean = finished(bench, bench.ask(ask))
    names: dict[str, Trace] = {}
    exec(snippet(entry, None), names)
    assert "without" not in names and names["trace"].text == clean.text
    torch.testing.assert_close(names["trace"].retrieval_scores, clean.retrieval_scores)
    ablated, without = finished(bench, bench.without(bench.ask(ask), ["L3H6", "L4H5"]))
    exec(snippet(ablated, ablated.off), names)
    measured = ablated.job.snapshot.effect
    assert measured is not None
    torch.testing.assert_close(names["effect"].delta, measured.delta)
    np.testing.assert_array_equal(np.load(io.BytesIO(npz(without, measured)))["effect"], measured.delta[0, :, 0].numpy())
    assert names["without"].text == without.text and torch.equal(names["without"].ablated, without.ablated)


def test_the_file_holds_the_trace_and_needs_no_pickle() -> None:
    trace = made_up(random_scores(4), texts=["ü", "", *(f"t{step}" for step in range(10))], ablated=torch.rand(12, 4, 8) < 0.5)
    found = np.load(io.BytesIO(npz(trace)), allow_pickle=False)
    for name in ("tokens", "retrieval_scores", "hidden", "ablated", "prompt_tokens", "needle_positions"):
        np.testing.assert_array_equal(found[name], getattr(trace, name))
    assert found["token_texts"].tolist() == list(trace.token_texts) and "ablated_scores" not in found
    facts = json.loads(str(found["facts"]))
    assert (facts["text"], facts["threshold"], facts["meta"]) == (trace.text, 0.0, {"model": {"name": "mini"}})


def test_the_python_names_the_score_that_was_chosen(bench: Bench) -> None:
    entry, clean = finished(bench, bench.ask(replace(ASKS[0], score="reasoning:sink=1,local=2")))
    names: dict[str, Trace] = {}
    exec(snippet(entry, None), names)
    torch.testing.assert_close(names["trace"].retrieval_scores, clean.retrieval_scores)
    assert names["trace"].threshold == clean.threshold == 0.5


def test_the_figures_are_one_page_with_a_comparison_where_there_is_one(bench: Bench) -> None:
    _, clean = finished(bench, bench.ask(ASKS[0]))
    alone, both = figures(clean, None, None, 1, dark=False), figures(clean, clean, made_effect(Made()), 1, dark=True)
    assert "At step 1" in alone and "Without some heads" not in alone and "Without some heads" in both
    assert "What they do at each token" in both and "What they do at each token" not in alone
    assert "<script src=" not in both


def test_the_first_heads_of_a_file_in_any_layout(tmp_path) -> None:
    ranked = RankedHeads(tuple(Head(layer, head) for layer in range(2) for head in range(3)), tuple(0.6 - 0.1 * i for i in range(6)))
    for format, suffix in (("mechdyn", ".json"), ("wu", ".json"), ("duoattention:query_heads=3", ".tsv")):
        ranked.fit(2, 3).save(tmp_path / f"list{suffix}", format=format)
        sent = "data:application/octet-stream;base64," + base64.b64encode((tmp_path / f"list{suffix}").read_bytes()).decode()
        assert heads_of_upload(sent, f"list{suffix}", 2) == (Head(0, 0), Head(0, 1))


def test_a_file_that_is_no_list_is_named_as_it_was_chosen() -> None:
    with pytest.raises(InputError, match=r"'?mine\.json'? is no list of heads"):
        heads_of_upload("data:text/plain;base64," + base64.b64encode(b"bees").decode(), "mine.json", 3)
    with pytest.raises(InputError, match="did not arrive whole"):
        heads_of_upload("data:,*", "mine.json", 3)
