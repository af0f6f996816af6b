"""The units that a store holds, read without torch: for whoever only wants to know how far a run is."""

import os

from mechdyn.errors import StoreError
from mechdyn.traces.folder import MANIFEST, PARTS, TRACES, Folder, part_file
from mechdyn.traces.manifest import parse_manifest
from mechdyn.traces.seals import SealedFile, parse_seal, reading, verify


def stored_units(url: str | os.PathLike[str]) -> frozenset[str]:
    """The keys of all units in the store at `url`; none where it is not there yet.

    Raises:
        StoreError: a manifest, seal or file that is damaged (it is named).
    """
    folder = Folder.at(url)
    text = folder.read_manifest()
    if text is None:
        return frozenset()
    manifest = parse_manifest(text, folder.path(MANIFEST))
    found: set[str] = set()
    for part in folder.part_sizes(PARTS if manifest.sealed else TRACES):
        found |= _units(folder, part, manifest.sealed)
    return frozenset(found)


def _units(folder: Folder, part: str, sealed: bool) -> set[str]:
    import pyarrow.parquet as pq

    path, where = part_file(folder, TRACES, part), part_file(folder, PARTS, part)
    file = SealedFile(path, None, None)
    if sealed:
        try:
            seal = parse_seal(folder.read_text(where), where)
        except FileNotFoundError as error:
            raise StoreError(f"{where} was there and is not any more; ask again") from error
        file = SealedFile(path, seal.traces_size, seal.traces_sha256)
    verify(folder, file)
    with reading(folder, file):
        return set(pq.read_table(path, columns=["unit"], filesystem=folder.arrow)["unit"].to_pylist())
