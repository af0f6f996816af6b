"""The SHA-256 of every JSON file that a run wrote, so that a changed byte is found before anything of the file is used.

`.seals.json` in the run's folder lists each file with the hashes that it may have: that of its last content and that of the one before.
A file's hash is put there before the file itself, so a kill between the two leaves a list that holds the old content's hash as well.
"""

import json
from pathlib import Path

from mechdyn.errors import StoreError
from mechdyn.traces.seals import is_sealed, sealed_json, text_hash

SEALS = ".seals.json"
_KEPT = 2


def with_hash(folder: Path, name: str, text: str) -> str | None:
    """The text of the folder's list once the file `name` has this text; None where the list says so already.

    Raises:
        StoreError: the list is damaged.
    """
    listed = _listed(folder)
    hashes = listed.get(name, [])
    if hashes[-1:] == [text_hash(text)]:
        return None
    kept = [each for each in hashes if each != text_hash(text)][-(_KEPT - 1) :]
    return sealed_json({"files": {**listed, name: [*kept, text_hash(text)]}})


def require_unchanged(path: Path, text: str) -> None:
    """Refuse a file whose content is not what was written; a file that no list names is taken as it is (older folders, other programs').

    Raises:
        StoreError: it was changed, or the list is damaged.
    """
    hashes = _listed(path.parent).get(path.name)
    if hashes and text_hash(text) not in hashes:
        raise StoreError(
            f"{path} is not what mechdyn wrote: its SHA-256 is none that {SEALS} beside it has; restore it, or run again into a new folder "
            f"(if you changed it yourself, delete {SEALS})"
        )


def _listed(folder: Path) -> dict[str, list[str]]:
    path = folder / SEALS
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} cannot be read ({error}); restore it, or delete it to read the folder without checksums") from error
    try:
        files = json.loads(text)["files"] if is_sealed(text) else None
    except (ValueError, LookupError, TypeError):
        files = None
    if not isinstance(files, dict):
        raise StoreError(f"{path} is damaged: it is not what was written; restore it, or delete it to read the folder without checksums")
    return files
