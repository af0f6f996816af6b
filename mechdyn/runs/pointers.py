"""Where the stores of a run lie: in its folder, or elsewhere with a pointer in the folder, as the runs of a sweep share stores.

A pointer is a file beside the list of roles: `traces.at.json` holds `{"store": …}`, a path from the run's folder or a URL.
"""

import os
from pathlib import Path

from mechdyn.errors import StoreError
from mechdyn.runs.folder import is_url, read_json, write_json

_POINTER = ".at.json"


def write_pointer(folder: Path, name: str, store: str) -> None:
    """Say where a store of the run lies."""
    write_json(folder / f"{name}{_POINTER}", {"store": store if is_url(store) else os.path.relpath(store, folder)})


def find_stores(folder: Path) -> dict[str, str]:
    """The stores of a run by name, each a path or a URL.

    Raises:
        StoreError: a pointer that is damaged.
    """
    found = {each.name: str(each) for each in folder.glob("traces*") if each.is_dir()}
    for pointer in folder.glob(f"traces*{_POINTER}"):
        content = read_json(pointer)
        store = content.get("store") if isinstance(content, dict) else None
        if not isinstance(store, str):
            raise StoreError(f"{pointer} does not say where the store is; restore it, or run again")
        found[pointer.name.removesuffix(_POINTER)] = store if is_url(store) else os.path.normpath(folder / store)
    return dict(sorted(found.items()))
