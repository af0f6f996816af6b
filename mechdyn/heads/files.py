"""Files of ranked heads: what a format is, and reading and writing in any that is known. The formats stand in `mechdyn.head_files`."""

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from mechdyn.errors import InputError
from mechdyn.heads.head import shown
from mechdyn.registry import Registry, make, parse_spec

if TYPE_CHECKING:
    from mechdyn.heads.ranking import RankedHeads  # which itself imports this module, to be saved

_log = logging.getLogger(__name__)


@runtime_checkable
class HeadFormat(Protocol):
    """A layout of files of ranked heads: a class that needs no arguments, decorated with `@head_format("name")`.

    It may have options with defaults (`name:option=value`). A layout of more than one file may have `read_beside(ranked, path)`, which
    adds to a ranking what the files beside `path` say, and `write_beside(ranked, path)`.
    """

    def recognises(self, content: str) -> bool:
        """Whether a file's text has this layout; it may still be malformed, which `read` says."""
        ...

    def read(self, content: str) -> "RankedHeads":
        """The ranking in a file's text; an InputError names the entry that is wrong."""
        ...

    def write(self, ranked: "RankedHeads") -> str:
        """The text of a file; an InputError says what the layout cannot hold."""
        ...


HEAD_FORMATS: Registry[type[HeadFormat]] = Registry("head-file format", "mechdyn.head_files")
Format = TypeVar("Format", bound=type[Any])


def head_format(name: str) -> Callable[[Format], Format]:
    """Give a format its name: from then on `read_heads` recognises such files and `RankedHeads.save(path, format=name)` writes them.

    Raises:
        InputError: a name that another format has, or a class that lacks a method of `HeadFormat`.
    """

    def register(kind: Format) -> Format:
        lacking = [method for method in ("recognises", "read", "write") if not callable(getattr(kind, method, None))]
        if lacking:
            raise InputError(f"a head-file format has recognises, read and write; {kind.__name__} lacks {', '.join(lacking)}")
        HEAD_FORMATS.register(name, kind)
        return kind

    return register


def read_heads(path: str | Path, format: str | None = None) -> "RankedHeads":
    """The ranked heads of a file, in any format that is known.

    Args:
        path: the file.
        format: the name of its format; recognised from the content where left out.

    Raises:
        InputError: no such file, an unknown format, or a malformed file; the message names the file and the entry.
    """
    content = _content(path)
    for name in (format,) if format else _own_first():
        layout = layout_of(name)
        if format or layout.recognises(content):
            try:
                ranked = layout.read(content)
                return layout.read_beside(ranked, Path(path)) if hasattr(layout, "read_beside") else ranked
            except InputError as error:
                raise InputError(f"the heads in {shown(path)} cannot be read: {error}") from error
    raise InputError(f"{shown(path)} is no list of heads in a known format ({', '.join(HEAD_FORMATS.names())}){_not_json(content)}")


def write_heads(ranked: "RankedHeads", path: str | Path, format: str) -> None:
    """Write a ranking to a file, as `RankedHeads.save` says."""
    layout = layout_of(format)
    content = layout.write(ranked)
    try:
        if hasattr(layout, "write_beside"):
            layout.write_beside(ranked, Path(path))
        Path(path).write_text(content, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"the heads cannot be written to {shown(path)}: {_reason(error)}") from error
    if missing := lost(ranked, read_heads(path, format)):
        _log.warning("the format %s does not keep: %s", format, ", ".join(missing))


def format_of(path: str | Path) -> str:
    """The name of the format that `read_heads` recognises a file as.

    Raises:
        InputError: no such file, or no known format.
    """
    content = _content(path)
    recognised = next((name for name in _own_first() if layout_of(name).recognises(content)), None)
    if recognised is None:
        raise InputError(f"{shown(path)} is no list of heads in a known format ({', '.join(HEAD_FORMATS.names())}){_not_json(content)}")
    return recognised


def layout_of(spec: str) -> Any:
    """A format with its options."""
    name, options = parse_spec(spec)
    return make("head-file format", name, HEAD_FORMATS.get(name), options)


def lost(ranked: "RankedHeads", kept: "RankedHeads") -> tuple[str, ...]:
    """What a ranking lacks that was written to a file and read back: `scores`, `the order`, `model`, `n` and the like.

    A score that was not known cannot be lost, nor a field that was empty.
    """
    before, after = dict(zip(ranked.heads, ranked.scores, strict=True)), dict(zip(kept.heads, kept.scores, strict=True))
    scored = {head: score for head, score in before.items() if not math.isnan(score)}
    missing = {
        "some heads": before.keys() != after.keys(),
        "scores": any(after.get(head) != score for head, score in scored.items()),
        "the order": before.keys() == after.keys() and ranked.heads != kept.heads,
        "the model's shape": ranked.n_layers is not None and (ranked.n_layers, ranked.n_heads) != (kept.n_layers, kept.n_heads),
        "statistic": bool(ranked.statistic) and ranked.statistic != kept.statistic,
        "model": bool(ranked.model) and ranked.model != kept.model,
        "n": ranked.n is not None and ranked.n != kept.n,
        "spread over samples": ranked.spread is not None and ranked.spread != kept.spread,
    }
    return tuple(name for name, is_lost in missing.items() if is_lost)


def _content(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"the heads cannot be read from {shown(path)}: {_reason(error)}") from error


def _own_first() -> list[str]:
    """All formats, those of other packages last, so that none of them takes a file of ours for its own."""
    return sorted(HEAD_FORMATS.names(), key=lambda name: not HEAD_FORMATS.get(name).__module__.startswith("mechdyn."))


def _reason(error: Exception) -> str:
    """What went wrong, without the path, which may be long."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "it is not UTF-8 text" if isinstance(error, UnicodeError) else str(error)


def _not_json(content: str) -> str:
    """What is wrong with a text that looks like JSON and is not."""
    if not content.strip():
        return ": the file is empty"
    if content.lstrip()[0] not in "{[":
        return ""
    try:
        json.loads(content)
    except (ValueError, RecursionError) as error:
        return f": it is not JSON ({error})"
    return ""
