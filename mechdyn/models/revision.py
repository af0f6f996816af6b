"""What identifies a checkpoint in a folder: a hash over all of its files that decide what the model computes."""

import hashlib
import json
import os
import re
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

_SETTINGS = (
    "config.json",
    "generation_config.json",
    "adapter_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates/*.jinja",
    "*.index.json",
)
_WEIGHTS = ("*.safetensors", "*.bin")
_REMEMBERED_FROM = 32 * 2**20
"""Smaller files are read again at every load, which takes milliseconds."""
_SETTLED = 2.0
"""Seconds after which a second change of a file has another time of change than the first, on any file system that is in use."""


def folder_revision(folder: Path) -> str:
    """16 hex digits of the SHA-256 over the configuration, the tokenizer, the chat template and every byte of the weights.

    Two folders of one revision hold the same model. The reverse does not hold: the same weights in other shards, in other files or in
    another format have another revision. Files of 32 MiB and more are read once and remembered, see `file_digest`.
    """
    digest = hashlib.sha256()
    found = {file for pattern in (*_SETTINGS, *_WEIGHTS) for file in folder.glob(pattern)} | _shards(folder)
    for file in sorted(file for file in found if file.is_file()):
        digest.update(json.dumps([file.relative_to(folder).as_posix(), file_digest(file)]).encode())
    return digest.hexdigest()[:16]


def file_digest(path: Path, remembered_from: int = _REMEMBERED_FROM, settled: float = _SETTLED) -> str:
    """The SHA-256 of a file, as hex digits.

    That of a file of at least `remembered_from` bytes is remembered in the user's cache, so that it is read through once and again only
    where its size or its times of change are others. One that changed less than `settled` seconds ago may change again without its times
    becoming others, so it is not remembered yet; nor is any where the cache cannot be written to.
    """
    path = path.resolve()
    state = _state_of(path)
    entry = user_cache() / "digests" / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:32]}.json"
    if state["size"] >= remembered_from and (known := _known_digest(entry, state)):
        return known
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    age = time.time() - max(state["mtime_ns"], state["ctime_ns"]) / 1e9
    if state["size"] >= remembered_from and age >= settled and _state_of(path) == state:
        _remember(entry, {**state, "sha256": found})
    return found


def user_cache() -> Path:
    """Where mechdyn keeps what can be made again: `MECHDYN_CACHE`, else `mechdyn` in `XDG_CACHE_HOME` or `~/.cache`."""
    if own := os.environ.get("MECHDYN_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "mechdyn"


def _shards(folder: Path) -> set[Path]:
    """The files that an index names, which may lie deeper in the folder."""
    named = set()
    for index in folder.glob("*.index.json"):
        try:
            named |= {folder / file for file in json.loads(index.read_text())["weight_map"].values()}
        except (ValueError, KeyError, AttributeError, TypeError):
            continue  # check_weights says so of the index that is used; the bytes of the others count anyway
    return named


def _state_of(path: Path) -> dict[str, Any]:
    """What changes when the file does."""
    stat = path.stat()
    return {"path": str(path), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "ctime_ns": stat.st_ctime_ns}


def _known_digest(entry: Path, state: dict[str, Any]) -> str | None:
    try:
        known = json.loads(entry.read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(known, dict):
        return None
    found = known.pop("sha256", None)
    return found if known == state and isinstance(found, str) and re.fullmatch("[0-9a-f]{64}", found) else None


def _remember(entry: Path, content: dict[str, Any]) -> None:
    """Written beside and moved, so that a reader finds it whole."""
    with suppress(OSError):
        entry.parent.mkdir(parents=True, exist_ok=True)
        beside = entry.with_suffix(f".{secrets.token_hex(4)}")
        beside.write_text(json.dumps(content))
        os.replace(beside, entry)
