"""The folder of a run: what was asked, its results; written so that nothing is ever half there."""

import errno
import json
import os
import re
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Any

from mechdyn.errors import InputError, StoreError
from mechdyn.runs.checksums import SEALS, require_unchanged, with_hash
from mechdyn.runs.command_lines import identity_fields

RECORD = "run.json"
LOCK = ".lock"
"""Held by the process that is at the run."""
VERSION = 2
"""Of `run.json`; the first release wrote the fields of the config and no version."""
_FIRST_RELEASE = {
    "claim": "verify",
    "method": "ablate",
    "masked": "progressive",
    "sinks": "sensitivity",
    "variant": "rag",
    "k": "rag-sweep",
    "depth": "trace",
}
"""The field by which each kind of run of the first release is told."""
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""As a path spells it, which has one slash where there were two."""


@dataclass(frozen=True)
class RunRecord:
    """What `run.json` says: the kind of run, the options that say what it is, the model's identity and where the model lay.

    `registered` is what was fixed before the first trace (`mechdyn.runs.registered`); None where nothing was. `environment` is what it was
    begun with (`mechdyn.runs.environment`): no part of what it is.
    """

    kind: str
    asked: Mapping[str, Any]
    model: Mapping[str, Any]
    source: str
    version: int = VERSION
    registered: Mapping[str, Any] | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Any, model: Mapping[str, Any], environment: Mapping[str, Any] | None = None) -> "RunRecord":
        """The record of a run that is about to begin."""
        asked = {item.name: getattr(config, item.name) for item in identity_fields(type(config)) if item.name != "model"}
        return cls(config.kind, json.loads(json.dumps(asked)), dict(model), str(config.model), environment=environment or {})

    def as_json(self) -> dict[str, Any]:
        fixed = {"registered": dict(self.registered)} if self.registered is not None else {}
        about = {"kind": self.kind, "version": self.version, "asked": dict(self.asked)}
        begun = {"environment": dict(self.environment)} if self.environment else {}
        return about | {"model": dict(self.model), "source": self.source} | begun | fixed

    def differences(self, other: "RunRecord", config_type: type, besides: Collection[str] = ()) -> list[str]:
        """A line for each thing asked that differs, but for `besides`; an option that one of the two did not know has its default."""
        defaults = {item.name: None if item.default is MISSING else item.default for item in identity_fields(config_type)}
        defaults = json.loads(json.dumps(defaults))
        names = [name for name in dict.fromkeys((*self.asked, *other.asked)) if name not in besides]
        pairs: list[tuple[str, Any, Any]] = [("kind", self.kind, other.kind)]
        pairs += [(name, *(record.asked.get(name, defaults.get(name)) for record in (self, other))) for name in names]
        pairs += [(f"model's {name}", self.model.get(name), other.model.get(name)) for name in {**self.model, **other.model}]
        return [f"its {name} is {mine!r}, this run's is {theirs!r}" for name, mine, theirs in pairs if mine != theirs]


def read_record(folder: Path) -> RunRecord:
    """What a run was asked, by this release or the first.

    Raises:
        StoreError: no run's folder, or a damaged `run.json`.
    """
    path = folder / RECORD
    if not path.is_file():
        raise StoreError(f"{folder} is not the folder of a run (it has no {RECORD}); name one that a command wrote with --out")
    values = read_json(path)
    model = values.get("model") if isinstance(values, dict) else None
    if not isinstance(model, dict) or not isinstance(model.get("name"), str):
        raise StoreError(f"{path} is not what a command of mechdyn wrote; restore it, or run again into a new folder")
    if "kind" not in values:
        return _of_first_release(values)
    if values.get("version") != VERSION or not isinstance(values.get("asked"), dict):
        raise StoreError(
            f"{path} has version {values.get('version')!r}, this mechdyn reads {VERSION}; read it with the mechdyn that wrote it"
        )
    registered = values.get("registered")
    if registered is not None and not isinstance(registered, dict):
        raise StoreError(f"{path} has a damaged entry 'registered'; restore it, or run again into a new folder")
    environment = values.get("environment") or {}
    if not isinstance(environment, dict):
        raise StoreError(f"{path} has a damaged entry 'environment'; restore it, or run again into a new folder")
    source = str(values.get("source", model["name"]))
    return RunRecord(str(values["kind"]), values["asked"], model, source, registered=registered, environment=environment)


def _of_first_release(values: Mapping[str, Any]) -> RunRecord:
    kind = next((kind for name, kind in _FIRST_RELEASE.items() if name in values), "")
    asked = {name: value for name, value in values.items() if name not in ("model", "engine")}
    if kind == "trace":
        asked["sample"] = asked.pop("question", None)
    return RunRecord(kind, asked, values["model"], values["model"]["name"], version=1)


def open_folder(folder: str | Path, record: RunRecord, config_type: type) -> Path:
    """Make the folder of a run, or go on with it where the same run was started before.

    Raises:
        InputError: the folder cannot be written, or holds something else than a run.
        StoreError: the folder belongs to another run.
    """
    folder = Path(folder)
    try:
        if _is_run(folder):
            _require_same(folder, read_record(folder).differences(record, config_type))
            return folder
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    write_json(folder / RECORD, record.as_json())
    return folder


def check_folder(folder: Path, config: Any) -> None:
    """Refuse a folder that this run cannot go into, as far as that can be told before its model is loaded; nothing is written.

    Raises:
        InputError, StoreError: as `open_folder` has them.
    """
    try:
        if _is_run(folder):
            _require_same(folder, other_than_asked(folder, config))
        elif not (there := next(each for each in (folder, *folder.absolute().parents) if each.exists())).is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(there))
    except OSError as error:
        raise _unwritable(folder, error) from error


def other_than_asked(folder: Path, config: Any) -> list[str]:
    """What a run's folder says otherwise than a config asks, as far as that can be told from the config alone.

    What is left to the command, such as a preset's lengths, is not compared, nor the order of a list, which the command may have changed.
    """
    found = read_record(folder)
    asked = RunRecord.of(config, found.model)
    known = found.asked
    besides = [name for name, value in asked.asked.items() if value in (None, []) or _in_another_order(value, known.get(name))]
    return found.differences(asked, type(config), besides)


def _in_another_order(one: Any, other: Any) -> bool:
    return isinstance(one, list) and isinstance(other, list) and {*map(json.dumps, one)} == {*map(json.dumps, other)}


def _is_run(folder: Path) -> bool:
    """Whether it is a run's folder; False where there is nothing.

    Raises:
        InputError: it holds something else than a run, or is no folder of this machine.
    """
    if is_url(folder):
        raise InputError(f"the folder of a run lies on this machine, got {folder}; name a local folder with --out")
    if (folder / RECORD).is_file():
        return True
    if folder.exists() and (not folder.is_dir() or any(not name.startswith(".") for name in os.listdir(folder))):
        raise InputError(f"output folder {folder} exists and is not the folder of a run (it has no {RECORD}); name a new one with --out")
    return False


def _require_same(folder: Path, differences: Sequence[str]) -> None:
    if differences:
        raise StoreError(f"output folder {folder} belongs to another run: {differences[0]}; name a new folder with --out")


def is_url(path: str | Path) -> bool:
    """Whether it is no path of this machine but a URL, such as `s3://bucket/run`; a `Path` of one counts too."""
    return _URL.match(str(path)) is not None


def safe_name(text: str) -> str:
    """A text as the name of a file: letters, digits, dots, dashes and underscores; nothing that leads out of a folder."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).lstrip(".") or "run"


def write_json(path: Path, content: Any) -> None:
    """Write JSON in one piece: readers see the old file or the new one."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a file that a run wrote.

    Raises:
        StoreError: it is not there or damaged.
    """
    try:
        text = path.read_text(encoding="utf-8")
        require_unchanged(path, text)
        return json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{path} cannot be read ({error}); restore it, or run again into a new folder") from error


def write_text(path: Path, text: str) -> None:
    """Write a text file of a run in one piece, on the disk before it takes its name; its checksum is noted beside it.

    Raises:
        InputError: the folder cannot be written, or has no space left.
        StoreError: the list of checksums is damaged.
    """
    seals = with_hash(path.parent, path.name, text)
    if seals is not None:
        _replace(path.with_name(SEALS), seals)
    _replace(path, text)


def _replace(path: Path, text: str) -> None:
    try:
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(partial, 0o644)
            os.replace(partial, path)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _unwritable(path.parent, error) from error


def _unwritable(folder: Path, error: OSError) -> InputError:
    return InputError(f"output folder {folder} cannot be written ({error.strerror}); name another with --out")
