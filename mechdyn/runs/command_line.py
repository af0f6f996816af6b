"""The command that a config stands for: what `mechdyn.cli.options` reads, written back."""

import shlex
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any


def command_line(program: str, config_type: type, values: Mapping[str, Any], **more: object) -> str:
    """`program` with an option for every field of `config_type` whose value is not its default, for a shell.

    Args:
        program: one or more words.
        config_type: a config of `mechdyn.runs.configs`.
        values: by field, as `run.json` has them; fields that are missing there are left to their defaults.
        more: further options by name, such as `out`.
    """
    words = program.split()
    for item in fields(config_type):
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
    flag = item.metadata.get("flag", f"--{item.name.replace('_', '-')}").split("/")[-1]
    return [word for part in (value if isinstance(value, tuple) else (value,)) for word in (flag, str(part))]
