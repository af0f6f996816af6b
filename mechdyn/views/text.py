"""Model text made safe for plotly, which reads its own tags, entities and LaTeX in every label."""

import unicodedata

from mechdyn.text import printable, short

_ESCAPES = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord("$"): "&#36;"}
_ISOLATE, _END_ISOLATE = "\u2066", "\u2069"


def escape(text: str) -> str:
    """Text that plotly draws as it stands: no tag, no entity, and no formula between dollar signs."""
    return text.translate(_ESCAPES)


def label(token: str, limit: int = 12) -> str:
    """A token for a tick or a table cell: visible, short, escaped."""
    return isolated(short(printable(token), limit))


def quoted(token: str, limit: int = 24) -> str:
    """A token within a sentence: as `label`, between quotation marks."""
    return f"“{label(token, limit)}”"


def full(token: str, limit: int = 4000, width: int = 60) -> str:
    """A token for a hover: visible, whole up to `limit` characters, escaped, in lines of `width`."""
    text = short(printable(token), limit)
    return "<br>".join(isolated(text[start : start + width]) for start in range(0, len(text), width))


def isolated(text: str) -> str:
    """Escaped text in left-to-right order whose right-to-left runs do not reorder what stands beside it."""
    if any(unicodedata.bidirectional(character) in ("R", "AL", "AN") for character in text):
        return _ISOLATE + escape(text) + _END_ISOLATE
    return escape(text)
