import pyarrow.parquet as pq
import pytest

from mechdyn.errors import StoreError
from mechdyn.traces import parts
from mechdyn.traces.folder import PARTS, STEPS, TRACES, Folder, part_file
from mechdyn.traces.parts import read_part, traces_of, write_part
from mechdyn.traces.stored import as_trace
from tests.traces.examples import assert_same, manifest, random_trace


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A part of several row groups, with traces of no steps, of some, and of more than a row group."""
    monkeypatch.setattr(parts, "GROUP_BYTES", 1)
    monkeypatch.setattr(parts, "_TRACES_PER_GROUP", 3)
    folder = Folder.at(tmp_path)
    folder.write_manifest("{}")
    traces = [random_trace(f"u{i}", n_steps, ablated=i % 2 == 0) for i, n_steps in enumerate([0, 700, 0, 700, 5000, 1, 900, 900, 3, 0])]
    with folder.new_part() as staged:
        write_part(staged, iter(traces), manifest())
    return folder, staged.part, traces


def look(folder, part):
    return read_part(folder, part, {kind: folder.part_sizes(kind).get(part) for kind in (STEPS, TRACES)}, manifest())


def test_the_rows_of_every_trace_are_known_from_the_traces_file(written):
    folder, name, traces = written
    part = look(folder, name)
    assert part.units == tuple(trace.unit for trace in traces)
    assert [int(end - start) for start, end in zip(part.bounds, part.bounds[1:], strict=False)] == [trace.n_steps for trace in traces]


def test_traces_are_read_across_row_groups(written):
    folder, name, traces = written
    assert pq.ParquetFile(part_file(folder, STEPS, name)).num_row_groups > 3
    assert pq.ParquetFile(part_file(folder, TRACES, name)).num_row_groups == 4
    part = look(folder, name)
    for wanted in (range(10), [0], [4], [1, 5, 9], [8]):
        got = list(traces_of(folder, part, wanted, manifest()))
        assert len(got) == len(list(wanted))
        for index, trace in zip(wanted, got, strict=True):
            assert_same(as_trace(trace), traces[index])


def test_traces_are_taken_one_by_one(tmp_path):
    """Nothing of a trace but its rows is kept while the next is made."""
    import gc
    import weakref

    alive = []

    def source():
        for index in range(5):
            trace = random_trace(f"u{index}")
            alive.append(weakref.ref(trace))
            yield trace
            del trace
            gc.collect()
            assert sum(reference() is not None for reference in alive) <= 1

    folder = Folder.at(tmp_path)
    folder.write_manifest("{}")
    with folder.new_part() as staged:
        write_part(staged, source(), manifest())


@pytest.mark.parametrize("kind", [STEPS, TRACES])
@pytest.mark.parametrize("keep", [0, 10, 0.5, -1])
def test_a_truncated_file_is_named(written, kind, keep):
    folder, name, _ = written
    path = part_file(folder, kind, name)
    with open(path, "rb+") as file:
        size = file.seek(0, 2)
        file.truncate(int(size * keep) if isinstance(keep, float) else keep % size)
    with pytest.raises(StoreError, match=r"damaged or truncated.*only that part's traces are made anew") as caught:
        look(folder, name)
    assert str(caught.value).startswith(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [STEPS, TRACES, PARTS])
def test_a_missing_file_is_named(written, kind):
    folder, name, _ = written
    path = part_file(folder, kind, name)
    folder.fs.rm_file(path)
    with pytest.raises(StoreError, match="it is missing") as caught:
        look(folder, name)
    assert str(caught.value).startswith(path)


def test_flipped_bytes_are_noticed(written):
    folder, name, _ = written
    path = part_file(folder, STEPS, name)
    with open(path, "rb+") as file:
        file.seek(file.seek(0, 2) // 3)
        file.write(b"\0" * 64)
    with pytest.raises(StoreError, match="damaged or truncated") as caught:
        list(traces_of(folder, look(folder, name), range(10), manifest()))
    assert str(caught.value).startswith(path)
