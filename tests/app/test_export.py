"""What is taken home is what was on the page, and the Python beside it makes the same."""

import io
import json

import numpy as np
import pytest
import torch

from mechdyn.app.ask import Ask
from mechdyn.app.bench import Bench, Entry
from mechdyn.app.export import npz, snippet
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
    exec(snippet(entry, None, "mini"), names)
    assert "without" not in names and names["trace"].text == clean.text
    torch.testing.assert_close(names["trace"].retrieval_scores, clean.retrieval_scores)
    ablated, without = finished(bench, bench.without(bench.ask(ask), ["L3H6", "L4H5"]))
    exec(snippet(ablated, ablated.off, "mini"), names)
    assert names["without"].text == without.text and torch.equal(names["without"].ablated, without.ablated)


def test_the_file_holds_the_trace_and_needs_no_pickle() -> None:
    trace = made_up(random_scores(4), texts=["ü", "", *(f"t{step}" for step in range(10))], ablated=torch.rand(12, 4, 8) < 0.5)
    found = np.load(io.BytesIO(npz(trace)), allow_pickle=False)
    for name in ("tokens", "retrieval_scores", "hidden", "ablated", "prompt_tokens", "needle_positions"):
        np.testing.assert_array_equal(found[name], getattr(trace, name))
    assert found["token_texts"].tolist() == list(trace.token_texts) and "ablated_scores" not in found
    facts = json.loads(str(found["facts"]))
    assert (facts["text"], facts["threshold"], facts["meta"]) == (trace.text, 0.0, {"model": {"name": "mini"}})
