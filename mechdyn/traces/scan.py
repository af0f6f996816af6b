"""Reading the steps of many parts, batch by batch. Imported on the first scan: `pyarrow.dataset` brings pandas along."""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads

from mechdyn.errors import StoreError
from mechdyn.traces.folder import STEPS, Folder
from mechdyn.traces.parts import damaged, opened, reading

_BATCHES_AHEAD = 4
_FILES_AHEAD = 1


def scan_steps(
    folder: Folder, masks: Mapping[str, np.ndarray], schema: pa.Schema, columns: list[str], batch_size: int
) -> Iterator[pa.RecordBatch]:
    """Batches of the rows of some files of steps, in order; `masks` says for each file which rows count."""
    seen = dict.fromkeys(masks, 0)
    if not masks:
        return
    try:
        for tagged in _scanner(folder, list(masks), schema, columns, batch_size).scan_batches():
            batch, path = tagged.record_batch, tagged.fragment.path
            mask = masks[path][seen[path] : seen[path] + batch.num_rows]
            seen[path] += batch.num_rows
            if mask.all():
                yield batch
            elif mask.any():
                yield batch.filter(pa.array(mask))
    except (pa.ArrowException, OSError) as error:
        raise _name_file(folder, list(masks), error) from error


def _scanner(folder: Folder, paths: list[str], schema: pa.Schema, columns: list[str], batch_size: int) -> pads.Scanner:
    # Buffering whole files ahead saves round trips to an object store; on a disk it only costs memory.
    options = pads.ParquetFragmentScanOptions(pre_buffer=not folder.local, page_checksum_verification=True)
    parquet = pads.ParquetFileFormat(default_fragment_scan_options=options)
    dataset = pads.dataset(paths, schema=schema, format=parquet, filesystem=folder.arrow)
    return dataset.scanner(columns=columns, batch_size=batch_size, batch_readahead=_BATCHES_AHEAD, fragment_readahead=_FILES_AHEAD)


def _name_file(folder: Folder, paths: list[str], error: Exception) -> StoreError:
    """Arrow does not always name the file that it could not read: find it."""
    for path in paths:
        try:
            with opened(folder, path) as file, reading(path):
                for group in range(file.num_row_groups):
                    file.read_row_group(group)
        except StoreError as found:
            return found
    return StoreError(damaged(paths[0] if len(paths) == 1 else folder.path(STEPS), str(error)))
