import os
import shutil
import subprocess
import sys
import threading
import uuid
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
import torch

from mechdyn.errors import InputError, StoreError
from mechdyn.traces.columns import dense_scores, hidden_states
from mechdyn.traces.store import TraceStore
from tests.traces.examples import assert_same, manifest, random_trace

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["folder", "memory"])
def url(request, tmp_path):
    return tmp_path / "store" if request.param == "folder" else f"memory://{uuid.uuid4()}/store"


@pytest.fixture
def filled(tmp_path):
    """Nine traces in three parts."""
    store = TraceStore.create(tmp_path / "store", manifest())
    traces = [random_trace(f"u{i}", n_steps=3 * i) for i in range(9)]
    for start in (0, 2, 6):
        store.append(traces[start : {0: 2, 2: 6, 6: 9}[start]])
    return tmp_path / "store", traces


@pytest.mark.parametrize("hidden_dtype", ["float16", "float32"])
@pytest.mark.parametrize("scores", ["sparse", "dense"])
def test_traces_come_back_as_they_were(url, scores, hidden_dtype):
    store = TraceStore.create(url, manifest(scores=scores, hidden_dtype=hidden_dtype))
    traces = [random_trace(f"u{i}", i, scores == "sparse", i > 2, i > 4, n_sentences=i % 3, threshold=0.5) for i in range(7)]
    store.append(traces[:3])
    store.append(traces[3:])
    for opened in (store, TraceStore.open(url)):
        assert opened.keys() == {trace.unit for trace in traces}
        assert opened.n_traces == 7
        assert opened.n_steps == sum(trace.n_steps for trace in traces)
        for got, wanted in zip(opened.load([trace.unit for trace in traces]), traces, strict=True):
            assert_same(got, wanted, getattr(torch, hidden_dtype))


def test_load_keeps_the_order_asked_and_names_what_is_missing(filled):
    store = TraceStore.open(filled[0])
    asked = ["u7", "u1", "u4", "u1", "u0"]
    assert [trace.unit for trace in store.load(asked)] == asked
    assert store.load([]) == []
    with pytest.raises(StoreError, match="no trace of unit nowhere; trace it first"):
        store.load(["u1", "nowhere"])
    with pytest.raises(StoreError, match="no trace of unit a, b, c and 2 more"):
        store.load(["a", "b", "c", "d", "e"])


def test_rows_of_traces_are_read_without_steps(filled):
    path, traces = filled
    for file in (path / "steps").iterdir():
        file.write_bytes(b"x" * file.stat().st_size)  # nothing that could be read
    rows = TraceStore.open(path).rows(["unit", "n_steps"])
    assert rows.to_pylist() == [{"unit": trace.unit, "n_steps": trace.n_steps} for trace in traces]
    empty = TraceStore.create(path.parent / "empty", manifest()).rows(["unit"])
    assert (empty.num_rows, empty.column_names) == (0, ["unit"])


def test_traces_come_one_by_one_in_the_order_of_the_store(filled):
    path, traces = filled
    store = TraceStore.open(path)
    assert [trace.unit for trace in store.traces()] == [trace.unit for trace in traces]
    assert [trace.unit for trace in store.traces({"u8", "u3"})] == ["u3", "u8"]


@pytest.mark.parametrize("batch_size", [1, 4, 1000, None])
def test_scan_gives_every_step_once_in_order(filled, batch_size):
    path, traces = filled
    batches = list(TraceStore.open(path).scan(batch_size=batch_size))
    assert all(batch.num_rows <= (batch_size or 10**9) for batch in batches)
    rows = pa.Table.from_batches(batches)
    assert rows["unit"].to_pylist() == [trace.unit for trace in traces for _ in range(trace.n_steps)]
    assert rows["step"].to_pylist() == [step for trace in traces for step in range(trace.n_steps)]
    assert torch.equal(torch.from_numpy(dense_scores(rows["scores"], manifest())), torch.cat([trace.retrieval_scores for trace in traces]))
    assert torch.equal(torch.from_numpy(hidden_states(rows["hidden"], manifest())), torch.cat([trace.hidden for trace in traces]).half())


def test_scan_takes_columns_and_units(filled):
    path, traces = filled
    rows = pa.Table.from_batches(list(TraceStore.open(path).scan(["hidden", "unit"], 5, keys=["u8", "u3", "u4"])))
    assert rows.column_names == ["hidden", "unit"]
    assert rows["unit"].to_pylist() == ["u3"] * 9 + ["u4"] * 12 + ["u8"] * 24
    assert torch.equal(
        torch.from_numpy(hidden_states(rows["hidden"], manifest())), torch.cat([traces[index].hidden for index in (3, 4, 8)]).half()
    )
    assert list(TraceStore.open(path).scan(keys=[])) == []
    with pytest.raises(InputError, match="steps have no column score; they have unit, sample, step"):
        TraceStore.open(path).scan(["score"])
    with pytest.raises(StoreError, match="no trace of unit x"):
        TraceStore.open(path).scan(keys=["x"])
    with pytest.raises(InputError, match="batch_size must be at least 1, got 0"):
        TraceStore.open(path).scan(batch_size=0)


def test_an_open_store_sees_what_others_append(filled):
    path, _ = filled
    reader, writer = TraceStore.open(path), TraceStore.open(path)
    writer.append([random_trace("new")])
    assert reader.load(["new"])[0].n_steps == 5
    assert reader.n_traces == 10


def test_scan_works_over_any_file_system():
    store = TraceStore.create(f"memory://{uuid.uuid4()}", manifest())
    store.append([random_trace("a", 4)])
    store.append([random_trace("b", 5)])
    rows = pa.Table.from_batches(list(store.scan(["unit", "hidden"], keys=["b"])))
    assert rows["unit"].to_pylist() == ["b"] * 5


# Bad input


def test_what_is_no_store_is_said_in_one_line(tmp_path):
    for place in (tmp_path, tmp_path / "nowhere", f"memory://{uuid.uuid4()}"):
        with pytest.raises(StoreError, match=r"there is no trace store at .* \(no manifest.json\)"):
            TraceStore.open(place)


def test_create_never_touches_what_is_there(tmp_path, filled):
    with pytest.raises(StoreError, match=r"there is a trace store at .* already; open it"):
        TraceStore.create(filled[0], manifest())
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("x")
    with pytest.raises(StoreError, match=r"needs a new or empty folder, .* holds thesis\.txt"):
        TraceStore.create(other, manifest())
    assert os.listdir(other) == ["thesis.txt"]
    with pytest.raises(StoreError, match="cannot be made at"):
        TraceStore.create(other / "thesis.txt" / "store", manifest())


def test_a_store_of_another_model_is_refused(filled):
    path, _ = filled
    theirs = manifest(revision="def", d_model=9)
    for attempt in (lambda: TraceStore.open(path).require(theirs), lambda: TraceStore.open_or_create(path, theirs)):
        with pytest.raises(StoreError, match=r"belongs to another run \(revision: 'abc', not 'def'; d_model: 8, not 9\)"):
            attempt()
    TraceStore.open(path).require(manifest())


def test_open_or_create_makes_then_resumes(tmp_path):
    TraceStore.open_or_create(tmp_path / "s", manifest()).append([random_trace("a")])
    assert TraceStore.open_or_create(tmp_path / "s", manifest()).keys() == {"a"}


def test_open_or_create_may_lose_a_race(tmp_path, monkeypatch):
    path, create = tmp_path / "s", TraceStore.create

    def late(url, ours):
        create(url, ours)
        return create(url, ours)

    monkeypatch.setattr(TraceStore, "create", late)
    assert TraceStore.open_or_create(path, manifest()).n_traces == 0
    (path / "manifest.json").unlink()
    (path / "thesis.txt").write_text("x")
    with pytest.raises(StoreError, match="needs a new or empty folder"):
        TraceStore.open_or_create(path, manifest())


def test_a_unit_is_stored_once(filled):
    path, traces = filled
    store = TraceStore.open(path)
    files = sorted(path.rglob("*"))
    assert store.append(traces) == store.append(iter(traces[:1])) == 0
    assert sorted(path.rglob("*")) == files
    another = random_trace("u3", seed=7)
    assert store.append([random_trace("x"), another, random_trace("y"), random_trace("x", seed=7)]) == 2
    assert repr(store) == repr(TraceStore.open(path)) == f"TraceStore({path}, 11 traces of tiny)"
    assert store.n_steps == sum(trace.n_steps for trace in traces) + 10
    for loaded, wanted in zip(store.load(["u3", "x"]), (traces[3], random_trace("x")), strict=True):
        assert_same(loaded, wanted)


def test_a_trace_without_a_unit_is_refused(filled):
    store = TraceStore.open(filled[0])
    with pytest.raises(InputError, match="a trace without a unit cannot be stored"):
        store.append([random_trace("x"), random_trace("")])
    assert store.n_traces == 9


def test_a_store_that_has_lost_its_manifest_is_not_written_over(filled):
    path, _ = filled
    (path / "manifest.json").unlink()
    files = sorted(path.rglob("*"))
    for attempt in (TraceStore.create, TraceStore.open_or_create):
        with pytest.raises(StoreError, match=r"has 3 parts and no manifest\.json; restore the file"):
            attempt(path, manifest())
    assert sorted(path.rglob("*")) == files


def test_an_append_that_fails_leaves_nothing(filled):
    path, _ = filled
    before = sorted(path.rglob("*"))
    store = TraceStore.open(path)
    with pytest.raises(InputError, match="append needs at least one trace, got none"):
        store.append([])
    with pytest.raises(InputError, match="scores other than 0 and 1"):
        store.append([random_trace("x"), random_trace("y", binary=False)])

    def interrupted():
        yield random_trace("x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.append(interrupted())
    assert sorted(path.rglob("*")) == before


@pytest.mark.parametrize("kind", ["steps", "traces"])
def test_a_truncated_part_is_named_on_opening(filled, kind):
    path, _ = filled
    file = sorted((path / kind).iterdir())[1]
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(StoreError, match="damaged or truncated") as caught:
        TraceStore.open(path)
    assert str(file) in str(caught.value)


def test_a_part_damaged_within_is_named_on_reading(filled):
    path, _ = filled
    file = sorted((path / "steps").iterdir())[2]
    content = bytearray(file.read_bytes())
    content[100:400] = bytes(300)
    file.write_bytes(content)
    store = TraceStore.open(path)
    for read in (lambda: list(store.scan()), lambda: store.load(["u7"])):
        with pytest.raises(StoreError, match="damaged or truncated") as caught:
            read()
        assert str(file) in str(caught.value)
    assert store.load(["u4"])[0].n_steps == 12


# Several writers


def test_a_unit_appended_by_two_writers_counts_once(tmp_path):
    """They race: each looks before the other has finished."""
    path = tmp_path / "store"
    first, second = TraceStore.create(path, manifest()), TraceStore.open(path)

    def meanwhile():
        yield random_trace("a")
        second.append([random_trace("b", 4), random_trace("a"), random_trace("c", 6)])

    first.append(meanwhile())
    store = TraceStore.open(path)
    assert (store.n_traces, store.n_steps) == (3, 15)
    rows = pa.Table.from_batches(list(store.scan(["unit"])))
    assert rows["unit"].to_pylist() == ["a"] * 5 + ["b"] * 4 + ["c"] * 6
    assert [trace.unit for trace in store.load(["a", "b", "c"])] == ["a", "b", "c"]
    assert store.to_datasets(cache_dir=tmp_path / "cache")["unit"][:] == rows["unit"].to_pylist()


def test_writers_at_once_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "store"
    TraceStore.create(path, manifest())
    failures = []

    def work(writer):
        try:
            for index in range(8):
                TraceStore.open(path).append([random_trace(f"{writer}-{index}")])
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(writer,)) for writer in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    store = TraceStore.open(path)
    assert store.n_traces == 24
    for trace in store.traces():
        assert_same(trace, random_trace(trace.unit))


# Other readers


def expected(traces):
    return [(trace.unit, step, int(trace.active[step].sum())) for trace in traces for step in range(trace.n_steps)]


def test_pandas_reads_the_store_as_it_lies(filled):
    pandas = pytest.importorskip("pandas")
    path, traces = filled
    steps = pandas.read_parquet(path / "steps")
    assert list(zip(steps["unit"], steps["step"], steps["n_active"], strict=True)) == expected(traces)
    assert steps["hidden"].iloc[5].tolist() == pytest.approx(torch.cat([trace.hidden for trace in traces])[5].tolist(), abs=2e-3)
    assert pandas.read_parquet(path / "traces")["n_steps"].tolist() == [trace.n_steps for trace in traces]


def test_polars_reads_the_store_as_it_lies(filled):
    polars = pytest.importorskip("polars")
    path, traces = filled
    steps = polars.scan_parquet(str(path / "steps" / "*.parquet")).collect()
    assert steps.select("unit", "step", "n_active").rows() == expected(traces)
    assert len(steps["hidden"][5]) == 8


def test_duckdb_reads_the_store_as_it_lies(filled):
    duckdb = pytest.importorskip("duckdb")
    path, traces = filled
    rows = duckdb.sql(f"select unit, step, n_active, hidden from read_parquet('{path}/steps/*.parquet') order by unit, step").fetchall()
    assert [row[:3] for row in rows] == sorted(expected(traces))
    assert len(rows[5][3]) == 8


def test_to_datasets_is_memory_mapped(filled, tmp_path):
    path, traces = filled
    dataset = TraceStore.open(path).to_datasets(cache_dir=tmp_path / "cache")
    assert len(dataset) == sum(trace.n_steps for trace in traces)
    assert dataset.cache_files
    assert dataset["unit"][:] == [trace.unit for trace in traces for _ in range(trace.n_steps)]
    assert len(dataset[0]["hidden"]) == 8


@pytest.mark.parametrize("scores", ["sparse", "dense"])
def test_a_dataset_names_layers_heads_and_tokens(tmp_path, scores):
    store = TraceStore.create(tmp_path / "store", manifest(scores=scores))
    about = {"binary": True} if scores == "sparse" else {"binary": False, "threshold": 0.5}
    traces = [random_trace("a", **about), random_trace("b", ablated=True, **about)]
    store.append(traces)
    rows = iter(store.to_datasets(tmp_path / "cache"))
    for trace in traces:
        for step, (text, row) in enumerate(zip(trace.token_texts, rows, strict=False)):
            assert (row["unit"], row["step"], row["token"], row["token_id"]) == (trace.unit, step, text, int(trace.tokens[step]))
            heads = list(zip(row["layer"], row["head"], strict=True))
            assert heads == [tuple(head) for head in trace.active[step].nonzero().tolist()]
            assert row["score"] == pytest.approx([float(trace.retrieval_scores[step][head]) for head in heads])
            off = [] if trace.ablated is None else trace.ablated[step].nonzero().tolist()
            assert [list(pair) for pair in zip(row["ablated_layer"], row["ablated_head"], strict=True)] == off


def test_to_datasets_of_an_empty_store_is_an_error(tmp_path):
    with pytest.raises(StoreError, match="has no traces yet"):
        TraceStore.create(tmp_path / "s", manifest()).to_datasets()


def test_the_store_can_be_moved(filled, tmp_path):
    path, traces = filled
    moved = shutil.move(path, tmp_path / "elsewhere")
    assert TraceStore.open(moved).n_traces == len(traces)


def test_importing_the_store_loads_neither_datasets_nor_model_code():
    code = "import sys, mechdyn.traces.store; print(sorted({'datasets', 'transformers', 'transformer_lens', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_a_trace_loaded_can_be_appended_elsewhere(filled, tmp_path):
    store = TraceStore.open(filled[0])
    other = TraceStore.create(tmp_path / "other", replace(store.manifest, hidden_dtype="float32"))
    other.append(store.traces())
    assert other.keys() == store.keys()
