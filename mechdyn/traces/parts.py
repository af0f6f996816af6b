"""Writing and reading one part of a store."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mechdyn.errors import StoreError
from mechdyn.traces.columns import step_rows, trace_of, trace_row, trace_rows
from mechdyn.traces.folder import PARTS, STEPS, TRACES, Folder, StagedPart, part_file
from mechdyn.traces.manifest import Manifest
from mechdyn.traces.schema import DECLARATION, row_bytes, steps_schema, traces_schema
from mechdyn.traces.seals import SealedFile, damaged, parse_seal, reading, seal_part, text_hash, verify
from mechdyn.traces.stored import AnyTrace, StoredTrace, as_stored

GROUP_BYTES = 32 * 2**20
"""About how much of a part is held in memory before it is written out as a row group, and what a reader takes in at once."""
_TRACES_PER_GROUP = 512
_STEP_BYTES = b"mechdyn.steps_bytes"
_STEP_COLUMNS = ["token", "token_text", "scores", "ablated_scores", "ablated_heads", "sentence_scores", "hidden"]


@dataclass(frozen=True, eq=False)
class Part:
    """What is known of a part without reading its steps: trace i of `units` has the rows `bounds[i]` to `bounds[i + 1]` of steps."""

    steps: SealedFile
    traces: SealedFile
    units: tuple[str, ...]
    bounds: np.ndarray

    def rows_of(self, indices: list[int]) -> np.ndarray:
        """True at the rows of steps of some traces."""
        wanted = np.zeros(len(self.units), dtype=bool)
        wanted[indices] = True
        return np.repeat(wanted, np.diff(self.bounds))


def write_part(staged: StagedPart, traces: Iterable[AnyTrace], manifest: Manifest) -> None:
    """Write the files of a part; of the traces no more than a row group is held."""
    rows_per_group = max(1024, GROUP_BYTES // row_bytes(manifest))
    with (
        _Groups(staged.steps, steps_schema(manifest), manifest, rows_per_group) as steps,
        _Groups(staged.traces, traces_schema(manifest), manifest, _TRACES_PER_GROUP) as rows,
    ):
        waiting: list[dict[str, Any]] = []  # made columns of together: one of a single row costs more than what it holds
        for trace in map(as_stored, traces):
            steps.add(step_rows(trace, manifest))
            waiting.append(trace_row(trace))
            if len(waiting) == _TRACES_PER_GROUP:
                rows.add(trace_rows(waiting, manifest))
                waiting = []
        if waiting:
            rows.add(trace_rows(waiting, manifest))
    staged.seal.write_bytes(seal_part(staged.steps, staged.traces, manifest.dumps()).encode())


def part_ids(folder: Folder, manifest: Manifest) -> list[str]:
    """The parts that count, in the order of writing: those with a seal, or in a store without seals those with traces."""
    return list(folder.part_sizes(PARTS if manifest.sealed else TRACES))


def read_part(folder: Folder, part: str, sizes: dict[str, int | None], manifest: Manifest) -> Part:
    """Look a part over: that it is of this store, its traces, and that its steps are there in full length.

    Args:
        folder: where the store lies.
        part: the part's id.
        sizes: bytes of its two Parquet files as they lie, by kind; None where there is no such file.
        manifest: the store's.

    Raises:
        StoreError: a file that is damaged or missing, or a part of another store.
    """
    steps, traces = _sealed_files(folder, part, manifest) if manifest.sealed else _unsealed_files(folder, part, manifest)
    for kind, file in ((TRACES, traces), (STEPS, steps)):
        if file.size is not None and sizes[kind] != file.size:
            found = "it is missing" if sizes[kind] is None else f"it has {sizes[kind]}"
            raise StoreError(damaged(file.path, f"it should have {file.size} bytes, {found}"))
    with opened(folder, traces, traces_schema(manifest)) as parquet, reading(folder, traces):
        rows = parquet.read(columns=["unit", "n_steps"])
    bounds = np.concatenate([[0], rows["n_steps"].to_numpy()]).cumsum()
    return Part(steps, traces, tuple(rows["unit"].to_pylist()), bounds)


def traces_of(folder: Folder, part: Part, wanted: Iterable[int], manifest: Manifest) -> Iterator[StoredTrace]:
    """Traces of a part by their index, ascending; one row group of each file is held at a time."""
    with (
        opened(folder, part.traces, traces_schema(manifest)) as trace_file,
        opened(folder, part.steps, steps_schema(manifest)) as step_file,
    ):
        traces, steps = _Rows(trace_file, None), _Rows(step_file, _STEP_COLUMNS)
        for index in wanted:
            with reading(folder, part.traces):
                row = traces.between(index, index + 1)
            with reading(folder, part.steps):
                rows = steps.between(int(part.bounds[index]), int(part.bounds[index + 1]))
            yield trace_of(row, rows, manifest)


def opened(folder: Folder, file: SealedFile, schema: pa.Schema) -> pq.ParquetFile:
    """A Parquet file of the store: its bytes are those of its seal, its columns and what it declares those of `schema`.

    Raises:
        StoreError: it is damaged, cannot be read, or belongs to another store.
    """
    verify(folder, file)
    with reading(folder, file):
        # Pages have checksums of their own, which are compared as they are read.
        parquet = pq.ParquetFile(file.path, filesystem=folder.arrow, page_checksum_verification=True)
    found = parquet.schema_arrow
    differences = _differences(_declared(file, found), _declared(file, schema))
    if differences:
        raise StoreError(foreign(file.path, "; ".join(differences)))
    if not found.equals(schema):
        columns = [field.name for field in schema if field.name not in found.names or not found.field(field.name).equals(field)]
        raise StoreError(damaged(file.path, f"its columns are not those of a store ({', '.join(columns) or 'there are others'})"))
    return parquet


def foreign(path: str, reason: str) -> str:
    """What to say of a file that is whole and of another store."""
    return f"{path} belongs to another store ({reason}); move the files of its part (steps/, traces/, parts/) back to where they came from"


def _sealed_files(folder: Folder, part: str, manifest: Manifest) -> tuple[SealedFile, SealedFile]:
    where = part_file(folder, PARTS, part)
    try:
        seal = parse_seal(folder.read_text(where), where)
    except FileNotFoundError as error:
        raise StoreError(damaged(where, "it is missing")) from error
    steps = SealedFile(part_file(folder, STEPS, part), seal.steps_size, seal.steps_sha256)
    traces = SealedFile(part_file(folder, TRACES, part), seal.traces_size, seal.traces_sha256)
    if seal.manifest != text_hash(manifest.dumps()):
        # What a part declares tells best whose it is, where it can be read.
        with opened(folder, traces, traces_schema(manifest)):
            raise StoreError(foreign(where, "it was written under a manifest with other settings, seeds or package versions"))
    return steps, traces


def _unsealed_files(folder: Folder, part: str, manifest: Manifest) -> tuple[SealedFile, SealedFile]:
    """Schema version 2: nothing is known but the length of the steps, which the footer of the traces gives."""
    traces = SealedFile(part_file(folder, TRACES, part), None, None)
    with opened(folder, traces, traces_schema(manifest)) as parquet:
        size = (parquet.metadata.metadata or {}).get(_STEP_BYTES, b"")
    if not size.isdigit():
        raise StoreError(damaged(traces.path, "its footer does not give the length of its steps"))
    return SealedFile(part_file(folder, STEPS, part), int(size), None), traces


def _declared(file: SealedFile, schema: pa.Schema) -> dict[str, object]:
    try:
        declared = json.loads((schema.metadata or {}).get(DECLARATION, b""))
    except ValueError:
        declared = None
    if not isinstance(declared, dict):
        raise StoreError(damaged(file.path, "it does not declare what it is a part of"))
    return declared


def _differences(found: dict[str, object], wanted: dict[str, object]) -> list[str]:
    names = [*wanted, *(name for name in found if name not in wanted)]
    return [f"{name}: {found.get(name)!r}, not {wanted.get(name)!r}" for name in names if found.get(name) != wanted.get(name)]


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
