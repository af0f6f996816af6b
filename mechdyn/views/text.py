"""Model text made safe and visible for plotly, which reads its own tags, entities and LaTeX in every label."""

import unicodedata

_SIGNS = {"\n": "⏎", "\t": "⇥", "\r": "␍", " ": " "}
_JOINERS = "\u200c\u200d"
_ESCAPES = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord("$"): "&#36;"}
_ISOLATE, _END_ISOLATE = "\u2066", "\u2069"


def escape(text: str) -> str:
    """Text that plotly draws as it stands: no tag, no entity, and no formula between dollar signs."""
    return text.translate(_ESCAPES)


def printable(token: str) -> str:
    """One token as a reader can see it, not yet escaped.

    Newline ⏎, tab ⇥, carriage return ␍; spaces at either end ·; an empty token ∅; half of a byte-level character �; invisible and
    direction-changing characters as `<U+202E>`; a mark that joins the character before it stands on ◌.
    """
    if not token:
        return "∅"
    inner = token.strip(" ")
    if not inner:
        return "·" * len(token)
    shown = visible(inner)
    if unicodedata.category(inner[0]).startswith("M"):
        shown = "◌" + shown
    start = len(token) - len(token.lstrip(" "))
    return "·" * start + shown + "·" * (len(token) - start - len(inner))


def visible(text: str) -> str:
    """Running text as `printable` shows a token, its spaces left as they are."""
    return "".join(_visible(text, index) for index in range(len(text)))


def short(text: str, limit: int) -> str:
    """At most `limit` characters, the last of them … where the text is longer; a base and its marks are not parted."""
    if len(text) <= limit:
        return text
    end = limit - 1
    while end > 1 and (unicodedata.category(text[end]).startswith("M") or text[end] in _JOINERS or text[end - 1] in _JOINERS):
        end -= 1
    return text[:end] + "…"


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


def _visible(text: str, index: int) -> str:
    character = text[index]
    if character in _SIGNS:
        return _SIGNS[character]
    if character in _JOINERS and 0 < index < len(text) - 1:
        return character
    category = unicodedata.category(character)
    if category == "Cs":
        return "\ufffd"
    if category in ("Cc", "Cf", "Zs", "Zl", "Zp"):
        return f"<U+{ord(character):04X}>"
    return character
