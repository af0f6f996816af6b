"""Text of models and data sets made visible: whatever a terminal, a browser or a reader's eye would act on is shown as a sign.

Drawing it safely in a given place (HTML, Markdown, plotly) is that place's own escaping, on top of this.
"""

import unicodedata

_SIGNS = {"\n": "⏎", "\t": "⇥", "\r": "␍", " ": " "}
_JOINERS = "\u200c\u200d"


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


def duration_text(seconds: float) -> str:
    """`0.32 s`, `95 s`, `12.5 min` or `1,240 h`: three digits in the unit that fits."""
    value, unit = (seconds, "s") if seconds < 120 else (seconds / 60, "min") if seconds < 7200 else (seconds / 3600, "h")
    if seconds and seconds < 0.001:
        return "under 0.001 s"
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


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
