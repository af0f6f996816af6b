"""The page's state in its address, so that it can be kept as a bookmark and sent to someone: the form, heads off, step, head, view."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode

_WHOLE, _NUMBERS = ("length", "seed", "new_tokens", "step"), ("depth",)
_TEXTS = ("needle", "question", "haystack", "score", "model", "head", "view")
_LONGEST = 2_000
"""Characters of a text that the address still takes; longer haystacks stay out of it."""


def to_address(values: Mapping[str, Any]) -> str:
    """The query of the page's address, such as `?needle=A+bee.&length=512`; what is empty or too long for an address is left out."""
    kept = {name: values.get(name) for name in (*_TEXTS, *_WHOLE, *_NUMBERS)}
    texts = {name: str(value) for name, value in kept.items() if value not in (None, "")}
    off = " ".join(values.get("off") or ())
    named = {**texts, **({"off": off} if off else {})}
    return f"?{urlencode({name: text for name, text in named.items() if len(text) <= _LONGEST})}"


def from_address(query: str | None) -> dict[str, Any]:
    """What an address says, by name; what is unknown, or no number where one is wanted, is left out."""
    found: dict[str, Any] = {}
    for name, (text, *_) in parse_qs((query or "").removeprefix("?")).items():
        if name in _TEXTS:
            found[name] = text
        elif name == "off":
            found[name] = text.split()
        elif name in (*_WHOLE, *_NUMBERS):
            try:
                found[name] = int(text) if name in _WHOLE else float(text)
            except ValueError:
                continue
    return found
