"""JSON of untrusted files, each key once."""

import json
import math
from functools import lru_cache
from typing import Any

from mechdyn.errors import InputError
from mechdyn.heads import shown


def json_object(content: str) -> dict[str, Any]:
    """The object that a text holds.

    Raises:
        InputError: no JSON, no object, an empty one, or one that has a key twice.
    """
    found = _sound(content)
    if not isinstance(found, dict) or not found:
        raise InputError("a JSON object with an entry a head is wanted, got " + ("an empty one" if found == {} else type(found).__name__))
    return found


def json_list(content: str) -> list[Any]:
    """The list that a text holds.

    Raises:
        InputError: no JSON, no list, or an empty one.
    """
    found = _sound(content)
    if not isinstance(found, list) or not found:
        raise InputError("a JSON list with an entry a head is wanted, got " + ("an empty one" if found == [] else type(found).__name__))
    return found


def peek(content: str) -> dict[str, Any]:
    """The object that a text holds, to recognise it by; empty where it holds none."""
    found = peek_list_or_object(content)
    return found if isinstance(found, dict) else {}


def peek_list_or_object(content: str) -> Any:
    """What a text holds, to recognise it by; None where that is no JSON."""
    return _parsed(content)[0]


def is_finite_number(value: Any) -> bool:
    """Whether a JSON value is a number that a float can hold; NaN, which JSON does not have and Python reads, is none."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def is_count(value: Any) -> bool:
    """Whether a JSON value is a whole number from 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def text_of(found: dict[str, Any], name: str) -> str:
    """A field of text; empty where it is left out.

    Raises:
        InputError: something else than text.
    """
    value = found.get(name) or ""
    if not isinstance(value, str):
        raise InputError(f"the field {name!r} must be text, got {shown(value)}")
    return value


def count_of(found: dict[str, Any], name: str, *, needed: bool = False) -> int | None:
    """A field that counts something, from 1; None where it is left out and not needed.

    Raises:
        InputError: something else.
    """
    value = found.get(name)
    if value is None and not needed:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"the field {name!r} must be a whole number of at least 1, got {shown(value)}")
    return value


def _sound(content: str) -> Any:
    """What a text holds. It is not kept any longer: such files may be large."""
    found, problem = _parsed(content)
    _parsed.cache_clear()
    if problem:
        raise InputError(problem)
    return found


@lru_cache(maxsize=1)
def _parsed(content: str) -> tuple[Any, str]:
    """What a text holds, and what is wrong with it. Every format looks at a file in turn, so the last one's is remembered."""
    doubled: list[str] = []

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            doubled.append(next(key for key in keys if keys.count(key) > 1))
        return found

    try:
        found = json.loads(content, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        return None, f"it is not JSON ({error})"
    return found, f"the key {shown(doubled[0])} stands there twice" if doubled else ""
