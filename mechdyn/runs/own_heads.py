"""Lists of heads that a run keeps in its folder: written in one piece, with their checksum, which is looked at before they are read."""

from pathlib import Path

from mechdyn.heads import RankedHeads, layout_of, read_heads
from mechdyn.runs.folder import read_json, write_text


def write_own_heads(path: Path, heads: RankedHeads) -> None:
    """Write a list of the run, in mechdyn's own format.

    Raises:
        InputError: the folder cannot be written, or has no space left.
    """
    write_text(path, layout_of("mechdyn").write(heads))


def read_own_heads(path: Path) -> RankedHeads:
    """Read a list of the run.

    Raises:
        StoreError: it is not there, or not what was written.
        InputError: it is no list of heads.
    """
    read_json(path)
    return read_heads(path)
