"""One text set in many ways: quotes, dashes, digits, spaces and line breaks as different people and programs write them.

Real files differ in all of these. A model that has seen one typography alone fails on the others, so training varies every text.
"""

import random
import re
import textwrap

_DOUBLE_QUOTES = (('"', '"'), ("\u201c", "\u201d"), ("\u201e", "\u201c"), ("\u00ab", "\u00bb"), ("``", "''"))
_SINGLE_QUOTES = (("'", "'"), ("\u2018", "\u2019"), ("\u2019", "\u2019"), ("`", "'"))
_DASHES = ("\u2014", " \u2014 ", " \u2013 ", "--", " -- ", " - ")
_ELLIPSES = ("\u2026", "...", ". . .")
_OPENING = re.compile(r"(^|[\s(\[{\u2014\u2013-])([\"'])(?=\S)")
_DASH = re.compile(r"\s?[\u2014\u2013]\s?|\s--\s|(?<=\w)--(?=\w)")
_SENTENCE_GAP = re.compile(r"(?<=[.!?]) (?=\S)")


def vary(rng: random.Random, text: str) -> str:
    """`text` in a typography drawn at random; most often on one line, as the haystack of `niah` is."""
    text = set_quotes(text, rng.choices(_DOUBLE_QUOTES, (5, 4, 1, 1, 1))[0], rng.choices(_SINGLE_QUOTES, (5, 4, 1, 1))[0])
    if rng.random() < 0.5:
        text = _DASH.sub(rng.choice(_DASHES), text)
    if rng.random() < 0.5:
        ellipsis = rng.choice(_ELLIPSES)
        text = re.sub(r"\u2026|\.\.\.", lambda _: ellipsis, text)
    if rng.random() < 0.3:
        text = re.sub(r"\d", lambda _: rng.choice("0123456789"), text)
    if rng.random() < 0.06:
        text = rng.choice((str.upper, str.lower, str.title))(text)
    return break_lines(rng, text)


def set_quotes(text: str, double: tuple[str, str], single: tuple[str, str]) -> str:
    """Every quote of English text as the pairs say; an apostrophe is a closing single quote."""
    text = re.sub("[\u2018\u2019]", "'", re.sub("[\u201c\u201d\u201e]|``|''", '"', text))
    pairs = {'"': double, "'": single}
    text = _OPENING.sub(lambda match: match[1] + pairs[match[2]][0], text)
    if double != ('"', '"'):
        text = text.replace('"', double[1])
    # What `_OPENING` has set already is no "'" unless the style itself uses it.
    return text if single[1] == "'" else _replace_apostrophes(text, double, single)


def _replace_apostrophes(text: str, double: tuple[str, str], single: tuple[str, str]) -> str:
    """Closing single quotes and apostrophes, but not the two that close a pair set as ''."""
    return re.sub("(?<!')'(?!')" if double[1] == "''" else "'", single[1], text)


def break_lines(rng: random.Random, text: str) -> str:
    """White space: all single spaces (most often), as it was, wrapped, in paragraphs, or double behind sentences."""
    draw = rng.random()
    if draw < 0.15:
        return text
    text = " ".join(text.split())
    if draw < 0.65:
        return text
    if draw < 0.8:
        width = rng.randint(40, 100)
        indent = " " * rng.choice((0, 0, 0, 2, 4))
        return textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False)
    if draw < 0.9:
        gap = rng.choice(("\n", "\n\n", "\n    "))
        return _SENTENCE_GAP.sub(lambda _: gap if rng.random() < 0.25 else " ", text)
    return _SENTENCE_GAP.sub(rng.choice(("  ", "\u00a0", "\n")), text)
