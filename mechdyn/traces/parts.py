"""Writing and reading one part of a store."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mechdyn.errors import StoreError
from mechdyn.traces.columns import step_rows, trace_of, trace_row
from mechdyn.traces.folder import STEPS, TRACES, Folder, StagedPart, part_file
from mechdyn.traces.manifest import Manifest
from mechdyn.traces.schema import row_bytes, steps_schema, traces_schema
from mechdyn.traces.trace import Trace

GROUP_BYTES = 32 * 2**20
"""About how much of a part is held in memory before it is written out as a row group, and what a reader takes in at once."""
_TRACES_PER_GROUP = 512
_STEP_BYTES = b"mechdyn.steps_bytes"
_STEP_COLUMNS = ["token", "token_text", "scores", "ablated_scores", "ablated_heads", "sentence_scores", "hidden"]


@dataclass(frozen=True, eq=False)
class Part:
    """What is known of a part without reading its steps: trace i of `units` has the rows `bounds[i]` to `bounds[i + 1]` of steps."""

    steps: str
    traces: str
    units: tuple[str, ...]
    bounds: np.ndarray


def write_part(staged: StagedPart, traces: Iterable[Trace], manifest: Manifest) -> None:
    """Write both files of a part; of the traces no more than a row group is held."""
    rows_per_group = max(1024, GROUP_BYTES // row_bytes(manifest))
    with (
        _Groups(staged.steps, steps_schema(manifest), manifest, rows_per_group) as steps,
        _Groups(staged.traces, traces_schema(manifest), manifest, _TRACES_PER_GROUP) as rows,
    ):
        for trace in traces:
            steps.add(step_rows(trace, manifest))
            rows.add(trace_row(trace, manifest))
        steps.close()
        rows.declare({_STEP_BYTES: str(staged.steps.stat().st_size).encode()})


def read_part(folder: Folder, part: str, step_bytes: int | None) -> Part:
    """Look a part over: its traces, and that its steps are there in full length (`step_bytes`, None where there is no such file)."""
    steps, traces = part_file(folder, STEPS, part), part_file(folder, TRACES, part)
    with opened(folder, traces) as file, reading(traces):
        wanted = (file.metadata.metadata or {}).get(_STEP_BYTES)
        if wanted is None:
            raise StoreError(damaged(traces, "its footer does not give the length of its steps"))
        rows = file.read(columns=["unit", "n_steps"])
    if step_bytes != int(wanted):
        found = "it is missing" if step_bytes is None else f"it has {step_bytes}"
        raise StoreError(damaged(steps, f"it should have {int(wanted)} bytes, {found}"))
    bounds = np.concatenate([[0], rows["n_steps"].to_numpy()]).cumsum()
    return Part(steps, traces, tuple(rows["unit"].to_pylist()), bounds)


def traces_of(folder: Folder, part: Part, wanted: Iterable[int], manifest: Manifest) -> Iterator[Trace]:
    """Traces of a part by their index, ascending; one row group of each file is held at a time."""
    with opened(folder, part.traces) as trace_file, opened(folder, part.steps) as step_file:
        traces, steps = _Rows(trace_file, None), _Rows(step_file, _STEP_COLUMNS)
        for index in wanted:
            with reading(part.traces):
                row = traces.between(index, index + 1)
            with reading(part.steps):
                rows = steps.between(int(part.bounds[index]), int(part.bounds[index + 1]))
            yield trace_of(row, rows, manifest)


def opened(folder: Folder, path: str) -> pq.ParquetFile:
    """A Parquet file whose pages are checked against their checksums as they are read."""
    with reading(path):
        return pq.ParquetFile(path, filesystem=folder.arrow, page_checksum_verification=True)


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Name the file in whatever goes wrong with it."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise StoreError(damaged(path, " ".join(str(error).split()))) from error


class _Rows:
    """Ranges of rows of a file, in ascending order; the last row group read is kept."""

    def __init__(self, file: pq.ParquetFile, columns: list[str] | None) -> None:
        self._file, self._columns = file, columns
        groups = range(file.num_row_groups)
        self._starts = np.concatenate([[0], [file.metadata.row_group(group).num_rows for group in groups]]).cumsum().astype(int)
        schema = file.schema_arrow
        self._empty = schema.empty_table() if columns is None else schema.empty_table().select(columns)
        self._kept: tuple[int, pa.Table] = (-1, self._empty)

    def between(self, start: int, stop: int) -> pa.Table:
        if stop == start:
            return self._empty
        first, last = np.searchsorted(self._starts, [start, stop - 1], side="right") - 1
        tables = []
        for group in range(first, last + 1):
            offset = self._starts[group]
            inside = slice(max(start, offset) - offset, min(stop, self._starts[group + 1]) - offset)
            tables.append(self._group(group)[inside])
        return pa.concat_tables(tables)

    def _group(self, group: int) -> pa.Table:
        if self._kept[0] != group:
            self._kept = (group, self._file.read_row_group(group, columns=self._columns))
        return self._kept[1]


class _Groups:
    """A Parquet file written in row groups of about `n_rows`."""

    def __init__(self, path: Path, schema: pa.Schema, manifest: Manifest, n_rows: int) -> None:
        self._n_rows, self._held, self._batches = n_rows, 0, list[pa.RecordBatch]()
        # Dictionaries and statistics only where values repeat or are asked for: hidden states and dense scores do neither.
        packed = ["scores.list.element", "ablated_scores.list.element"] if manifest.scores == "sparse" else []
        self._writer = pq.ParquetWriter(
            path,
            schema,
            compression="zstd",
            use_dictionary=["unit", "sample", "token", "token_text", "n_active", "task", "stopped", "ablated_heads.list.element", *packed],
            write_statistics=["unit", "sample", "step", "needle_hit", "n_active", "n_steps", "task"],
            write_page_checksum=True,
        )

    def add(self, batch: pa.RecordBatch) -> None:
        self._batches.append(batch)
        self._held += batch.num_rows
        if self._held >= self._n_rows:
            self._write()

    def declare(self, metadata: dict[bytes, bytes]) -> None:
        self._writer.add_key_value_metadata(metadata)

    def close(self) -> None:
        self._write()
        self._writer.close()

    def _write(self) -> None:
        if self._held:
            # Twice: a group ends with a trace where it can, and only a trace of many steps is divided.
            self._writer.write_table(pa.Table.from_batches(self._batches).combine_chunks(), row_group_size=2 * self._n_rows)
        self._held, self._batches = 0, []

    def __enter__(self) -> "_Groups":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._writer.close()


def damaged(path: str, reason: str) -> str:
    """What to say of a file that cannot be read."""
    return (
        f"{path} is damaged or truncated: {reason}; delete this file and the other of the same part (steps/ and traces/), "
        "then run again: only that part's traces are made anew"
    )
