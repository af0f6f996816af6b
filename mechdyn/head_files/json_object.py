"""JSON objects of untrusted files, each key once."""

import json
import math
from typing import Any

from mechdyn.errors import InputError
from mechdyn.heads import shown


def json_object(content: str) -> dict[str, Any]:
    """The object that a text holds.

    Raises:
        InputError: no JSON, no object, an empty one, or one that has a key twice.
    """
    try:
        found = json.loads(content, object_pairs_hook=_once)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"it is not JSON ({error})") from error
    if not isinstance(found, dict) or not found:
        raise InputError("a JSON object with an entry a head is wanted, got " + ("an empty one" if found == {} else type(found).__name__))
    return found


def peek(content: str) -> dict[str, Any]:
    """The object that a text holds, to recognise it by; empty where it holds none."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def is_finite_number(value: Any) -> bool:
    """Whether a JSON value is a number that a float can hold; NaN, which JSON does not have and Python reads, is none."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise InputError(f"the key {shown(key)} stands there twice")
        found[key] = value
    return found
