"""A config as the words that ask for it: the folder of a run, and the command line that makes it again."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

_LONGEST_NAME = 100


def identity_fields(config_type: type) -> list[Field[Any]]:
    """The fields that say what a run is, not how it is carried out."""
    return [item for item in fields(config_type) if not item.metadata.get("how")]


def default_folder(kind: str, config: Any) -> Path:
    """`runs/KIND-MODEL-…`: everything that makes another run is in the name, so that two runs never meet in one folder."""
    names = {item.name: item for item in identity_fields(type(config))}
    parts = [kind, Path(config.model).name]
    for name in ("task", "style", "preset"):
        item = names.pop(name, None)
        if item is not None and (name == "preset" or getattr(config, name) != item.default):
            parts.append(str(getattr(config, name)))
    for name, item in names.items():
        value = getattr(config, name)
        if name != "model" and not item.metadata.get("argument") and value != item.default:
            flag = _flag(item).lstrip("-")
            parts += [flag, *map(str, value if isinstance(value, tuple) else (value,))]
    text = re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(part for part in parts if part))
    if len(text) > _LONGEST_NAME:
        from mechdyn.hashing import content_hash

        text = f"{text[: _LONGEST_NAME - 9]}-{content_hash(text)[:8]}"
    return Path("runs") / text


def command_line(program: str, config_type: type, values: Mapping[str, Any], **more: object) -> str:
    """`program` with an option for every field of `config_type` whose value is not its default, for a shell.

    Args:
        program: one or more words.
        config_type: a config of `mechdyn.runs.configs` or its like.
        values: by field, as `run.json` has them; fields that are missing there are left to their defaults.
        more: further options by name, such as `out`.
    """
    words = program.split()
    for item in sorted(fields(config_type), key=lambda item: not item.metadata.get("argument")):
        if item.name in values:
            words += _words(item, values[item.name])
    for name, value in more.items():
        words += [f"--{name}", str(value)]
    return shlex.join(words)


def _words(item: Field[Any], value: Any) -> list[str]:
    value = tuple(value) if isinstance(value, list) else value
    if value is None or value == item.default:
        return []
    if item.metadata.get("argument") and item.default is MISSING:
        return [str(value)]
    if isinstance(value, bool):
        return [_flag(item) if value else f"--no-{_flag(item).removeprefix('--')}"]
    return [word for part in (value if isinstance(value, tuple) else (value,)) for word in (_flag(item), str(part))]


def _flag(item: Field[Any]) -> str:
    return str(item.metadata.get("flag", f"--{item.name.replace('_', '-')}")).split("/")[-1]
