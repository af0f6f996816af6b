import secrets
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import mechdyn as md
from mechdyn.errors import InputError, StoreError
from mechdyn.traces.frames import condition_of, unpacked
from mechdyn.traces.store import TraceStore
from mechdyn.traces.trace import Sources
from tests.traces.examples import D_MODEL, HEADS, LAYERS, manifest, random_trace

ABLATION = {"schedule": {"kind": "dynamic", "top_k": None}, "method": "zero", "scope": "position", "commit": "ablated"}
STEP_COLUMNS = ["step", "token", "token_id", "layer", "head", "score", "retrieves", "ablated"]


def plain_rows(trace):
    """A row a step and head, written out."""
    for step in range(trace.n_steps):
        for layer in range(LAYERS):
            for head in range(HEADS):
                score = trace.retrieval_scores[step, layer, head].item()
                ablated = trace.ablated is not None and bool(trace.ablated[step, layer, head])
                retrieves = bool(trace.active[step, layer, head])
                yield step, trace.token_texts[step], int(trace.tokens[step]), layer, head, score, retrieves, ablated


def rows_of(frame, columns=STEP_COLUMNS):
    return list(frame[list(columns)].astype(object).itertuples(index=False, name=None))


def some_traces(binary=True):
    """Five of fresh content: without steps, ablated, with facts that some lack."""
    seed = secrets.randbits(32)
    made = [random_trace(f"u{index}", 3 * index, binary, index > 2, index > 3, threshold=0.25, seed=seed) for index in range(5)]
    metas = [{"length": 512, "depth": 0.5}, {"length": 256, "id": "q1"}, {"length": 1024, "depth": 1.0, "step": 7, "facts": [1]}, {}]
    metas.append({"length": 3})
    for index in (3, 4):
        metas[index]["ablation"] = ABLATION
    return [replace(trace, meta=meta) for trace, meta in zip(made, metas, strict=True)]


@pytest.mark.parametrize("binary", [True, False])
def test_a_trace_becomes_a_row_a_step_and_head(binary):
    for trace in some_traces(binary):
        frame = trace.to_frame()
        assert list(frame.columns) == STEP_COLUMNS
        assert rows_of(frame) == list(plain_rows(trace))


def test_many_traces_have_columns_for_what_they_are():
    traces = some_traces()
    frame = md.frame(iter(traces))
    facts = ["length", "depth", "id", "meta_step"]
    assert list(frame.columns) == ["unit", "sample", "task", *facts, "condition", "stopped", *STEP_COLUMNS]
    assert rows_of(frame) == [row for trace in traces for row in plain_rows(trace)]
    for unit, of_trace in frame.groupby("unit", observed=True):
        (trace,) = (trace for trace in traces if trace.unit == unit)
        assert len(of_trace) == trace.n_steps * LAYERS * HEADS
        first = of_trace.iloc[0]
        assert (first["sample"], first["task"], first["stopped"]) == (trace.sample, "niah", "length")
        assert first["condition"] == ("dynamic, commit ablated" if "ablation" in trace.meta else "none")
        for name, column in zip(("length", "depth", "id", "step"), facts, strict=True):
            values = set(of_trace[column].dropna())
            assert values == ({trace.meta[name]} if name in trace.meta else set()), name
    assert frame["length"].dtype == np.float64 and {frame[name].dtype.name for name in ("unit", "id", "token")} == {"category"}


def test_numbers_that_no_trace_lacks_stay_whole():
    frame = md.frame([replace(random_trace(unit), meta={"seed": seed, "own": seed > 1}) for seed, unit in enumerate("abc")])
    assert frame["seed"].dtype == np.int64 and frame["own"].dtype == bool
    assert frame.groupby("unit", observed=True)["seed"].unique().map(list).to_dict() == {"a": [0], "b": [1], "c": [2]}


def test_one_trace_may_be_given_alone():
    trace = random_trace("a")
    pd.testing.assert_frame_equal(md.frame(trace), md.frame([trace]))


def test_a_head_retrieves_where_the_trace_says_so():
    """A score that equals a threshold which float32 cannot hold is not above it."""
    scores = torch.full((5, LAYERS, HEADS), 0.1)
    trace = replace(random_trace("a"), retrieval_scores=scores, threshold=0.1)
    store = TraceStore.create("memory://frames-threshold", manifest(scores="dense"))
    store.append([trace])
    for frame in (trace.to_frame(), md.frame([trace]), store.to_frame()):
        assert frame["retrieves"].tolist() == trace.active.flatten().tolist()


@pytest.mark.parametrize("scores", ["sparse", "dense"])
def test_a_store_gives_the_frame_of_its_traces(tmp_path, scores):
    traces = some_traces(binary=scores == "sparse")
    store = TraceStore.create(tmp_path / "store", manifest(scores=scores))
    store.append(traces[:3])
    store.append(traces[3:])
    wanted = md.frame(store.traces())
    pd.testing.assert_frame_equal(store.to_frame(), wanted, check_categorical=False)
    pd.testing.assert_frame_equal(store.to_frame(["u4", "u1"]), md.frame(store.traces(["u4", "u1"])), check_categorical=False)
    for rows in (1, 100, 200, 10_000):
        frames = list(store.frames(rows=rows))
        assert all(list(frame.columns) == list(wanted.columns) for frame in frames)
        assert [row for frame in frames for row in rows_of(frame, ["unit", *STEP_COLUMNS])] == rows_of(wanted, ["unit", *STEP_COLUMNS])
        units = [set(frame["unit"]) for frame in frames]
        assert sum(map(len, units)) == len(set().union(*units)) == 4  # no trace is divided; the one without steps has no row
    assert len(list(store.frames(rows=1))) == 4 and len(list(store.frames())) == 1
    assert list(store.frames(keys=[])) == []


def test_frames_of_nothing_are_refused(tmp_path):
    with pytest.raises(InputError, match="a frame needs at least one trace, got none"):
        md.frame([])
    wide = replace(random_trace("b"), retrieval_scores=torch.zeros(5, LAYERS, HEADS + 1))
    with pytest.raises(InputError, match=r"traces of one model, got \(layers, heads\) \(3, 4\), \(3, 5\)"):
        md.frame([random_trace("a"), wide])
    store = TraceStore.create(tmp_path / "store", manifest())
    with pytest.raises(StoreError, match="has no step of the traces asked for"):
        store.to_frame()
    with pytest.raises(InputError, match="a frame needs at least 1 row, got 0"):
        list(store.frames(rows=0))
    with pytest.raises(StoreError, match="no trace of unit x"):
        list(store.frames(["x"]))


def test_five_hundred_traces_take_a_moment():
    traces = [
        replace(random_trace("a", 40), retrieval_scores=torch.rand(40, 5, 16), unit=f"{index}", meta={"seed": index})
        for index in range(500)
    ]
    began = time.process_time()
    frame = md.frame(traces)
    assert time.process_time() - began < 4
    assert len(frame) == 500 * 40 * 80
    assert frame.memory_usage(deep=True).sum() < 60 * len(frame)


# Arrays


def test_arrays_go_through_savez_without_pickle(tmp_path):
    trace = replace(
        random_trace("a", 6, ablated=True, ablated_scores=True, n_sentences=2),
        patterns=torch.rand(6, LAYERS, HEADS, 9),
        sources=Sources(torch.randint(0, 9, (6, LAYERS, HEADS, 2)), torch.rand(6, LAYERS, HEADS, 2)),
    )
    np.savez(tmp_path / "trace.npz", **trace.to_numpy())
    with np.load(tmp_path / "trace.npz", allow_pickle=False) as loaded:
        found = dict(loaded)
    assert found["scores"].tolist() == trace.retrieval_scores.tolist()
    assert found["active"].tolist() == trace.active.tolist()
    assert found["tokens"].tolist() == trace.tokens.tolist()
    assert found["token_texts"].tolist() == list(trace.token_texts)
    assert found["source_positions"].tolist() == trace.sources.positions.tolist()
    for name in ("ablated", "ablated_scores", "hidden", "prompt_tokens", "needle_positions", "sentence_scores", "patterns"):
        assert found[name].tolist() == getattr(trace, name).tolist(), name


def test_arrays_leave_out_what_a_trace_has_not():
    arrays = random_trace("a").to_numpy()
    assert set(arrays) == {"scores", "active", "hidden", "tokens", "token_texts", "prompt_tokens", "needle_positions"}
    half = replace(random_trace("a"), hidden=torch.rand(5, D_MODEL).bfloat16())
    assert half.to_numpy()["hidden"].tolist() == half.hidden.float().tolist()


# What other tools read


@pytest.mark.parametrize("scores", ["sparse", "dense"])
def test_packed_scores_of_any_reader_are_unpacked(tmp_path, scores):
    store = TraceStore.create(tmp_path / "store", manifest(scores=scores))
    traces = [random_trace("a", 4, scores == "sparse"), random_trace("b", 3, scores == "sparse", ablated=True, ablated_scores=True)]
    store.append(traces)
    wanted = torch.cat([trace.retrieval_scores for trace in traces]).numpy()
    read = pd.read_parquet(tmp_path / "store" / "steps")
    for lists in (read["scores"], store.to_datasets(tmp_path / "cache", packed=True)["scores"][:]):
        assert np.array_equal(unpacked(lists, store.manifest), wanted)
    ablated = unpacked(read["ablated_scores"], store.manifest)
    assert np.isnan(ablated[:4]).all() and np.array_equal(ablated[4:], traces[1].ablated_scores.numpy())
    assert unpacked([], store.manifest).shape == (0, LAYERS, HEADS)


def test_scores_of_another_model_are_not_unpacked():
    with pytest.raises(InputError, match="row 1 names head 12, the model has 12"):
        unpacked([[0], [3, 12]], manifest())
    with pytest.raises(InputError, match="row 0 has 3 scores for 12 heads"):
        unpacked([[0.0, 0.5, 1.0]], manifest(scores="dense"))


@pytest.mark.parametrize(
    ("ablation", "words"),
    [
        ({}, "none"),
        (ABLATION | {"commit": "clean"}, "dynamic"),
        (ABLATION | {"method": "mean", "scope": "all", "reference": "x"}, "dynamic, method mean, scope all, commit ablated"),
        ({"schedule": {"kind": "static", "heads": ["L1H2", "L0H3"]}}, "static L1H2 L0H3"),
        ({"schedule": {"kind": "random", "k": 3, "seed": 4, "fresh": True, "matched": None}}, "random k 3 fresh"),
        ({"schedule": {"kind": "size-matched", "of": {"kind": "random", "k": 1, "seed": 2}}}, "size-matched (random k 1)"),
    ],
)
def test_a_condition_says_what_was_ablated(ablation, words):
    assert condition_of(ablation) == words


def test_conditions_of_different_heads_differ():
    names = {condition_of({"schedule": {"kind": "static", "heads": [f"L{layer}H{head}" for layer in range(6)]}}) for head in range(3)}
    assert len(names) == 3 and all(name.startswith("static 6 heads ") for name in names)
