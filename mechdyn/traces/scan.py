"""Reading the steps of many parts, batch by batch. Imported on the first scan: `pyarrow.dataset` brings pandas along."""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads

from mechdyn.errors import StoreError
from mechdyn.traces.folder import STEPS, Folder
from mechdyn.traces.parts import opened
from mechdyn.traces.seals import SealedFile, reading, unreadable

_BATCHES_AHEAD = 4
_FILES_AHEAD = 1


def scan_steps(
    folder: Folder, masks: Mapping[SealedFile, np.ndarray], schema: pa.Schema, columns: list[str], batch_size: int
) -> Iterator[pa.RecordBatch]:
    """Batches of the rows of some files of steps, in order; `masks` says for each file which rows count.

    Nothing of a file is given out before all of it has been found to be what its seal says.
    """
    files = {file.path: file for file in masks}
    seen: dict[str, int] = {}
    if not files:
        return
    batches = _batches(folder, list(files), schema, columns, batch_size)
    while (tagged := _next(folder, files, schema, batches)) is not None:
        batch, path = tagged.record_batch, tagged.fragment.path
        if path not in seen:
            opened(folder, files[path], schema).close()
        start = seen.setdefault(path, 0)
        mask = masks[files[path]][start : start + batch.num_rows]
        seen[path] += batch.num_rows
        if mask.all():
            yield batch
        elif mask.any():
            yield batch.filter(pa.array(mask))


def _next(
    folder: Folder, files: Mapping[str, SealedFile], schema: pa.Schema, batches: Iterator[pads.TaggedRecordBatch]
) -> pads.TaggedRecordBatch | None:
    """The next batch; where Arrow cannot read on, the file that is to blame, which it does not always name."""
    try:
        return next(batches, None)
    except (pa.ArrowException, OSError) as error:
        for file in files.values():
            with opened(folder, file, schema) as parquet, reading(folder, file):
                for group in range(parquet.num_row_groups):
                    parquet.read_row_group(group)
        raise StoreError(unreadable(folder.path(STEPS), error)) from error


def _batches(folder: Folder, paths: list[str], schema: pa.Schema, columns: list[str], batch_size: int) -> Iterator[pads.TaggedRecordBatch]:
    yield from _scanner(folder, paths, schema, columns, batch_size).scan_batches()


def _scanner(folder: Folder, paths: list[str], schema: pa.Schema, columns: list[str], batch_size: int) -> pads.Scanner:
    # Buffering whole files ahead saves round trips to an object store; on a disk it only costs memory.
    options = pads.ParquetFragmentScanOptions(pre_buffer=not folder.local, page_checksum_verification=True)
    parquet = pads.ParquetFileFormat(default_fragment_scan_options=options)
    dataset = pads.dataset(paths, schema=schema, format=parquet, filesystem=folder.arrow)
    return dataset.scanner(columns=columns, batch_size=batch_size, batch_readahead=_BATCHES_AHEAD, fragment_readahead=_FILES_AHEAD)
