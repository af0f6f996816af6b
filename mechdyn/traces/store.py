"""Traces on disk: appended in whole parts, scanned in bounded memory, readable by any Parquet tool as they lie."""

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from mechdyn.errors import InputError, StoreError
from mechdyn.traces.folder import MANIFEST, PARTS, STAGING, STEPS, TRACES, Folder
from mechdyn.traces.hugging_face import dataset_of, readable
from mechdyn.traces.manifest import Manifest, parse_manifest
from mechdyn.traces.parts import Part, opened, part_ids, read_part, traces_of, write_part
from mechdyn.traces.schema import row_bytes, steps_schema, traces_schema
from mechdyn.traces.seals import reading
from mechdyn.traces.stored import AnyTrace, StoredTrace, as_trace
from mechdyn.traces.trace import Trace

if TYPE_CHECKING:
    from datasets import Dataset
    from pandas import DataFrame

_BATCH_BYTES = 4 * 2**20


class TraceStore:
    """A folder, or any `fsspec` URL, of traces of one model under one manifest.

    `manifest.json` says what made it; `steps/*.parquet` has a row a step and `traces/*.parquet` a row a trace (columns: `schema.py`), so
    `pandas.read_parquet(folder / "steps")`, `polars.scan_parquet("…/steps/*.parquet")` and DuckDB's `read_parquet` see all of it.

    Every `append` is one part, there whole or not at all; what a killed writer leaves is never read, and swept by the next writer. Several
    processes may append at once. Should two of them append the same unit, the part that was begun first counts. Parts are never
    changed: `parts/*.json` keeps the SHA-256 of each file, and a file that is not what was written is refused before anything of it is
    used. Use one object a thread.
    """

    def __init__(self, folder: Folder, manifest: Manifest) -> None:
        """Use `create`, `open` or `open_or_create`."""
        self.manifest = manifest
        self._folder = folder
        self._parts: dict[str, Part] = {}
        self._where: dict[str, tuple[str, int]] = {}
        self._swept = False

    @classmethod
    def create(cls, url: str | os.PathLike[str], manifest: Manifest) -> "TraceStore":
        """Make an empty store.

        Raises:
            StoreError: a store or anything else is there already, or the place cannot be written to.
        """
        folder = Folder.at(url)
        names = set(folder.names())
        if MANIFEST in names:
            raise StoreError(f"there is a trace store at {url} already; open it, or name a new folder")
        # A creator that was killed leaves these, empty, and no manifest.
        kinds = (STEPS, TRACES, PARTS)
        n_parts = len({part for kind in kinds if kind in names for part in folder.part_sizes(kind)})
        if n_parts:
            raise StoreError(f"the store at {url} has {n_parts} parts and no {MANIFEST}; restore the file, or name a new folder")
        foreign = sorted(names - {*kinds, STAGING})
        if foreign:
            raise StoreError(f"a trace store needs a new or empty folder, {url} holds {', '.join(foreign[:3])}; name another")
        folder.write_manifest(manifest.dumps())
        return cls(folder, manifest)

    @classmethod
    def open(cls, url: str | os.PathLike[str]) -> "TraceStore":
        """Open a store to read or to append to.

        Raises:
            StoreError: no store is there, it has another schema version, or a part of it is damaged (the file is named).
        """
        folder = Folder.at(url)
        text = folder.read_manifest()
        if text is None:
            raise StoreError(f"there is no trace store at {url} (no {MANIFEST}); name the folder of one, or create it")
        store = cls(folder, parse_manifest(text, folder.path(MANIFEST)))
        store._refresh()
        return store

    @classmethod
    def open_or_create(cls, url: str | os.PathLike[str], manifest: Manifest) -> "TraceStore":
        """The store of a run, new or resumed; one of another run is refused as by `require`."""
        folder = Folder.at(url)
        if folder.read_manifest() is None:
            try:
                return cls.create(url, manifest)
            except StoreError:
                # Another process may have created it since.
                if folder.read_manifest() is None:
                    raise
        store = cls.open(url)
        store.require(manifest)
        return store

    @property
    def url(self) -> str:
        """Where the store lies, as it was asked for."""
        return self._folder.url

    def require(self, manifest: Manifest) -> None:
        """Refuse a store that was made under another manifest.

        Raises:
            StoreError: the two differ; every field that does is named.
        """
        differences = self.manifest.differences(manifest)
        if differences:
            raise StoreError(
                f"the trace store at {self.url} belongs to another run ({'; '.join(differences)}); "
                "use a new folder, or run with the store's settings"
            )

    def append(self, traces: Iterable[AnyTrace]) -> int:
        """Write traces as one part: after this all of them are in the store, and had it failed, none. Returns how many were written.

        A trace of a unit that the store has already is left out, and so is the second one of a unit in the same call: appending the same
        traces again changes nothing. Traces may come one by one from a generator; a row group of some 32 MiB of them is held at a time.

        Raises:
            InputError: no traces, or one without a unit or that the manifest does not fit (shapes, packing, range).
            StoreError: a place that cannot be written to, or a store of an earlier schema version.
        """
        if not self.manifest.sealed:
            raise StoreError(
                f"the trace store at {self.url} was written by an earlier mechdyn (schema version {self.manifest.schema_version}) "
                "and can only be read; append to a new one"
            )
        if not self._swept:
            self.sweep()
        seen, written = 0, set[str]()
        present = self.keys()

        def new() -> Iterator[AnyTrace]:
            nonlocal seen
            for trace in traces:
                seen += 1
                if not trace.unit:
                    raise InputError("a trace without a unit cannot be stored, since a store finds traces by their unit; give it one")
                if trace.unit not in present and trace.unit not in written:
                    written.add(trace.unit)
                    yield trace

        found = new()
        try:
            # A part is begun only where there is a first trace for it.
            for first in found:
                with self._folder.new_part() as staged:
                    write_part(staged, chain([first], found), self.manifest)
        except OSError as error:
            raise StoreError(f"a part cannot be written to the trace store at {self.url} ({error}); check space and rights") from error
        if not seen:
            raise InputError("append needs at least one trace, got none; leave the call out where there is nothing to store")
        return len(written)

    def sweep(self) -> int:
        """Delete what killed writers left; the first `append` of every store object does it too. Returns the number of parts dropped."""
        self._swept = True
        return self._folder.sweep() if self.manifest.sealed else 0

    def keys(self) -> frozenset[str]:
        """The units that the store holds."""
        self._refresh()
        return frozenset(self._where)

    @property
    def n_traces(self) -> int:
        """Traces in the store."""
        return len(self.keys())

    @property
    def n_steps(self) -> int:
        """Steps of all traces in the store."""
        return sum(int(part.rows_of(indices).sum()) for part, indices in self._selected(None))

    def rows(self, columns: Sequence[str]) -> pa.Table:
        """A row for every trace, in the order of the store, without reading any steps; columns as in `schema.traces_schema`."""
        tables = list(self.scan_traces(columns))
        return pa.concat_tables(tables) if tables else traces_schema(self.manifest).empty_table().select(list(columns))

    def scan_traces(self, columns: Sequence[str], keys: Collection[str] | None = None) -> Iterator[pa.Table]:
        """As `rows`, of all traces or those of some units, a part at a time."""
        for part, indices in self._selected(keys):
            with opened(self._folder, part.traces, traces_schema(self.manifest)) as file, reading(self._folder, part.traces):
                rows = file.read(columns=list(columns)).take(indices)
            yield rows

    def load(self, keys: Sequence[str]) -> list[Trace]:
        """Traces by unit key, in the order asked.

        Scores come back exactly, as float32; hidden states in the manifest's dtype; patterns are not stored.

        Raises:
            StoreError: a key that is not there, or a damaged part (the file is named).
        """
        found = {trace.unit: trace for trace in self.traces(keys)}
        return [found[key] for key in keys]

    def traces(self, keys: Collection[str] | None = None) -> Iterator[Trace]:
        """All traces, or those of some units, one by one in the order of the store; a row group of steps is held at a time."""
        return map(as_trace, self.stored(keys))

    def stored(self, keys: Collection[str] | None = None) -> Iterator[StoredTrace]:
        """As `traces`, in NumPy arrays, without torch."""
        return chain.from_iterable(traces_of(self._folder, part, indices, self.manifest) for part, indices in self._selected(keys))

    def scan(
        self, columns: Sequence[str] | None = None, batch_size: int | None = None, keys: Collection[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The rows of steps, in order, a batch at a time; the steps of a trace follow one another but may go over into the next batch.

        Args:
            columns: those of `schema.steps_schema`; all when left out. `columns.dense_scores` and the like unpack them.
            batch_size: rows of a batch at most; some 4 MiB when left out. A few batches are read ahead.
            keys: units to scan; all when left out.

        Raises:
            InputError: a column that is not there, or batches of no rows.
            StoreError: a key that is not there, or a damaged part (the file is named).
        """
        from mechdyn.traces.scan import scan_steps  # brings pandas along

        schema = steps_schema(self.manifest)
        unknown = [name for name in columns or () if name not in schema.names]
        if unknown:
            raise InputError(f"steps have no column {', '.join(unknown)}; they have {', '.join(schema.names)}")
        if batch_size is not None and batch_size < 1:
            raise InputError(f"batch_size must be at least 1, got {batch_size}; leave it out for batches of some 4 MiB")
        names = list(schema.names if columns is None else columns)
        rows = max(64, min(65_536, _BATCH_BYTES // row_bytes(self.manifest))) if batch_size is None else batch_size
        masks = {part.steps: part.rows_of(indices) for part, indices in self._selected(keys)}
        return scan_steps(self._folder, masks, schema, names, rows)

    def frames(self, keys: Collection[str] | None = None, rows: int = 1_000_000) -> "Iterator[DataFrame]":
        """All traces, or those of some units, as pandas frames of some `rows` rows, each with the columns of `mechdyn.frame`.

        A trace is never divided, and no more than a frame's traces are in memory at a time. Hidden states are not read. Errors are those
        of `scan`.
        """
        from mechdyn.traces.frames import store_frames  # brings pandas along

        return store_frames(self, keys, rows)

    def to_frame(self, keys: Collection[str] | None = None) -> "DataFrame":
        """As `frames`, in one frame; a StoreError where there is no step to put into it."""
        from mechdyn.traces.frames import store_frames

        found = next(store_frames(self, keys, rows=None), None)
        if found is None:
            raise StoreError(f"the trace store at {self.url} has no step of the traces asked for; append some before making a frame of it")
        return found

    def to_datasets(self, cache_dir: str | os.PathLike[str] | None = None, *, packed: bool = False) -> "Dataset":
        """The steps as a Hugging Face `Dataset`, memory-mapped from Arrow files that `datasets` makes in its cache (or in `cache_dir`).

        A row a step: `unit`, `sample`, `step`, `token` (its text), `token_id`, heads that retrieve as lists `layer`, `head` and `score`,
        those switched off as `ablated_layer` and `ablated_head`, then the files' other columns. With `packed` all are the files' own, as
        `schema.py` says; `frames.unpacked` makes arrays of them.
        """
        selected = self._selected(None)
        if not selected:
            raise StoreError(f"the trace store at {self.url} has no traces yet; append some before making a dataset of it")
        for part, _ in selected:
            opened(self._folder, part.steps, steps_schema(self.manifest)).close()
        files = [part.steps.path if self._folder.local else self._folder.fs.unstrip_protocol(part.steps.path) for part, _ in selected]
        dataset = dataset_of(files, np.concatenate([part.rows_of(indices) for part, indices in selected]), cache_dir)
        rows = self.rows(("unit", "threshold")).to_pylist()
        return dataset if packed else readable(dataset, self.manifest, {row["unit"]: row["threshold"] for row in rows})

    def _refresh(self) -> None:
        """Take in parts that came since; they are listed before their files, which are in place before a part counts."""
        listed = part_ids(self._folder, self.manifest)
        if listed == list(self._parts):
            return
        sizes = {kind: self._folder.part_sizes(kind) for kind in (STEPS, TRACES)}
        self._parts = {
            part: self._parts.get(part)
            or read_part(self._folder, part, {kind: found.get(part) for kind, found in sizes.items()}, self.manifest)
            for part in listed
        }
        self._where = {}
        for name, part in self._parts.items():
            for index, unit in enumerate(part.units):
                self._where.setdefault(unit, (name, index))

    def _selected(self, keys: Collection[str] | None) -> list[tuple[Part, list[int]]]:
        """The parts that hold any of the units, with the ascending indices of those that count."""
        self._refresh()
        missing = [key for key in keys or () if key not in self._where]
        if missing:
            shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
            raise StoreError(f"the trace store at {self.url} has no trace of unit {shown}; trace it first, keys() lists what is there")
        indices: dict[str, list[int]] = {part: [] for part in self._parts}
        for key in self._where if keys is None else set(keys):
            part, index = self._where[key]
            indices[part].append(index)
        return [(self._parts[part], sorted(chosen)) for part, chosen in indices.items() if chosen]

    def __repr__(self) -> str:
        return f"TraceStore({self.url}, {self.n_traces} traces of {self.manifest.model})"
