from dataclasses import replace

import pyarrow as pa
import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.traces.columns import dense_scores, head_masks, hidden_states, step_rows, trace_of, trace_row, trace_rows
from mechdyn.traces.stored import as_trace
from tests.traces.examples import D_MODEL, HEADS, LAYERS, assert_same, manifest, random_trace


@pytest.mark.parametrize("n_steps", [0, 1, 7])
@pytest.mark.parametrize("scores", ["sparse", "dense"])
@pytest.mark.parametrize("ablated", [(False, False), (True, False), (True, True), (False, True)])
@pytest.mark.parametrize("n_sentences", [0, 3])
def test_a_trace_survives_its_rows(n_steps, scores, ablated, n_sentences):
    ours = manifest(scores=scores)
    trace = random_trace("a", n_steps, scores == "sparse", *ablated, n_sentences)
    row, steps = pa.Table.from_batches([trace_rows([trace_row(trace)], ours)]), pa.Table.from_batches([step_rows(trace, ours)])
    assert_same(as_trace(trace_of(row, steps, ours)), trace)


def test_derived_columns_say_what_the_trace_says():
    trace = random_trace("a", 9, binary=False, threshold=0.8)
    rows = step_rows(trace, manifest(scores="dense")).to_pydict()
    assert rows["n_active"] == [len(trace.heads(step)) for step in range(9)]
    assert rows["needle_hit"] == trace.retrieving_steps.tolist()
    assert rows["step"] == list(range(9))
    assert set(rows["unit"]) == {"a"}


def test_sparse_scores_are_flat_indices_of_the_heads_that_score():
    trace = random_trace("a", 6)
    listed = step_rows(trace, manifest()).column("scores").to_pylist()
    for step, indices in enumerate(listed):
        assert indices == sorted(layer * HEADS + head for layer, head in trace.heads(step))


def test_unpacking_works_on_any_slice():
    ours = manifest()
    trace = random_trace("a", 20, ablated=True)
    part = step_rows(trace, ours).slice(7, 5)
    assert torch.equal(torch.from_numpy(dense_scores(part["scores"], ours)), trace.retrieval_scores[7:12])
    assert torch.equal(torch.from_numpy(head_masks(part["ablated_heads"], ours)), trace.ablated[7:12])
    assert torch.equal(torch.from_numpy(hidden_states(part["hidden"], ours)), trace.hidden[7:12].half())
    ours = manifest(scores="dense", hidden_dtype="float32")
    trace = random_trace("a", 20, binary=False, ablated_scores=True)
    part = step_rows(trace, ours).slice(7, 5)
    assert torch.equal(torch.from_numpy(dense_scores(part["scores"], ours)), trace.retrieval_scores[7:12])
    assert torch.equal(torch.from_numpy(dense_scores(part["ablated_scores"], ours)), trace.ablated_scores[7:12])
    assert torch.equal(torch.from_numpy(hidden_states(part["hidden"], ours)), trace.hidden[7:12])


def test_half_precision_scores_come_back_equal_and_nan_stays():
    trace = random_trace("a", 4, binary=False)
    scores = trace.retrieval_scores.bfloat16()
    scores[1, 0, 0] = float("nan")
    column = step_rows(replace(trace, retrieval_scores=scores), manifest(scores="dense")).column("scores")
    assert torch.equal(torch.from_numpy(dense_scores(column, manifest(scores="dense"))).nan_to_num(-1), scores.float().nan_to_num(-1))


@pytest.mark.parametrize(
    ("changes", "settings", "message"),
    [
        ({"retrieval_scores": torch.zeros(5, LAYERS + 1, HEADS)}, {}, r"retrieval_scores of trace a must have the shape \(5, 3, 4\)"),
        ({"hidden": torch.zeros(5, D_MODEL + 1)}, {}, r"hidden of trace a must have the shape \(5, 8\)"),
        ({"ablated": torch.zeros(4, LAYERS, HEADS, dtype=torch.bool)}, {}, "ablated of trace a must have the shape"),
        ({"sentence_scores": torch.zeros(4, 2)}, {}, r"sentence_scores of trace a must have the shape \(5, 2\)"),
        ({"token_texts": ("x",)}, {}, "has 5 tokens but 1 token texts"),
        ({"retrieval_scores": torch.full((5, LAYERS, HEADS), 0.5)}, {}, "scores other than 0 and 1"),
        ({"retrieval_scores": torch.full((5, LAYERS, HEADS), float("nan"))}, {}, "scores other than 0 and 1"),
        ({"retrieval_scores": torch.zeros(5, LAYERS, HEADS, dtype=torch.float64)}, {"scores": "dense"}, "float64 scores"),
        ({"hidden": torch.full((5, D_MODEL), 1e6)}, {}, "beyond the range of float16"),
    ],
)
def test_what_the_store_cannot_hold_is_refused(changes, settings, message):
    with pytest.raises(InputError, match=message):
        # A shape that disagrees within a trace is refused by the type hook already: disable it by building the trace without a check.
        step_rows(_unchecked(random_trace("a"), changes), manifest(**settings))


def _unchecked(trace, changes):
    copy = object.__new__(type(trace))
    copy.__dict__.update(trace.__dict__ | changes)
    return copy


def test_meta_that_is_no_json_is_refused():
    with pytest.raises(InputError, match="the meta of trace a must hold JSON values only"):
        trace_row(replace(random_trace("a"), meta={"x": object()}))
