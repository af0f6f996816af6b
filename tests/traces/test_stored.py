from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from mechdyn.traces.store import TraceStore
from mechdyn.traces.stored import StoredTrace, as_stored, as_trace
from mechdyn.views.timeline import timeline
from tests.traces.examples import assert_same, manifest, random_trace

MEASURED = {"backing": {"heads": ["L0H1"], "entropy": [0.5, 0.25], "max_p": [0.75, 0.5], "margin": [0.5, 0.125], "mass": [[0.5], [1.0]]}}


def traces():
    return [
        random_trace("a"),
        random_trace("b", 0),
        random_trace("c", 7, ablated=True, ablated_scores=True, n_sentences=3, threshold=0.5),
        random_trace("d", 4, binary=False, threshold=0.8),
    ]


def test_a_trace_comes_back_from_its_arrays_and_shares_their_memory():
    for trace in traces():
        stored = as_stored(trace)
        assert not any(isinstance(getattr(stored, item.name), Tensor) for item in fields(StoredTrace))
        back = as_trace(stored)
        assert_same(back, trace, hidden_dtype=torch.float32)
        assert back.hidden.data_ptr() == trace.hidden.data_ptr()
        assert as_stored(stored) is stored and as_trace(trace) is trace


def test_what_is_said_of_the_arrays_is_what_is_said_of_the_tensors():
    for trace in traces():
        stored = as_stored(trace)
        assert stored.n_steps == trace.n_steps
        assert np.array_equal(stored.active, trace.active.numpy())
        assert np.array_equal(stored.retrieving_steps, trace.retrieving_steps.numpy())


def test_what_was_measured_beside_a_trace_is_kept_as_it_is_stored():
    measured = {"backing": {**MEASURED["backing"], "copies": [[0], []]}}
    stored = replace(as_stored(random_trace("a", 2)), measured=measured)
    trace = as_trace(stored)
    assert trace.effect is None and trace.backing.copies.tolist() == [[True], [False]]
    assert as_stored(trace).measured == measured


def test_a_store_gives_the_same_with_and_without_tensors_and_takes_either(tmp_path):
    dense = manifest(scores="dense", hidden_dtype="float32")
    first, second = TraceStore.create(tmp_path / "a", dense), TraceStore.create(tmp_path / "b", dense)
    first.append(traces())
    assert second.append(first.stored()) == 4
    for one, other, trace in zip(first.load(list("dcba")), second.load(list("dcba")), reversed(traces()), strict=True):
        assert_same(one, trace, hidden_dtype=torch.float32)
        assert_same(other, trace, hidden_dtype=torch.float32)
    assert [trace.unit for trace in first.stored(["c"])] == ["c"]


@pytest.mark.parametrize("heads", ["varying", "top", "all"])
def test_a_timeline_of_either_is_the_same_figure(heads):
    for trace in (traces()[0], traces()[2], traces()[3]):
        assert timeline(as_stored(trace), heads=heads).to_json() == timeline(trace, heads=heads).to_json()
