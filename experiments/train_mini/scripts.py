"""Made-up words in the letters of many languages, so that no byte is new to the model."""

import random

_RANGES = {
    "greek": (0x3B1, 0x3C9),
    "cyrillic": (0x430, 0x44F),
    "hebrew": (0x5D0, 0x5EA),
    "arabic": (0x627, 0x64A),
    "devanagari": (0x905, 0x939),
    "bengali": (0x985, 0x9B9),
    "tamil": (0xB85, 0xBB9),
    "thai": (0xE01, 0xE2E),
    "georgian": (0x10D0, 0x10F0),
    "armenian": (0x561, 0x586),
    "ethiopic": (0x1200, 0x1357),
    "hiragana": (0x3041, 0x3096),
    "katakana": (0x30A1, 0x30FA),
    "han": (0x4E00, 0x9FA5),
    "hangul": (0xAC00, 0xD7A3),
    "phonetic": (0x250, 0x2AF),
    "mathematics": (0x2200, 0x22FF),
    "arrows and boxes": (0x2190, 0x25FF),
    "emoji": (0x1F300, 0x1F5FF),
    "latin extended": (0xC0, 0x17F),
}
SCRIPTS = tuple(_RANGES)
_UNSPACED = {"thai": ". ", "hiragana": "\u3002", "katakana": "\u3002", "han": "\u3002"}
_ACCENTS = {
    "a": "\u00e0\u00e1\u00e2\u00e4\u00e3\u00e5\u0101\u0105",
    "c": "\u00e7\u0107\u010d",
    "e": "\u00e8\u00e9\u00ea\u00eb\u0119\u011b",
    "i": "\u00ec\u00ed\u00ee\u00ef\u0131",
    "l": "\u0142",
    "n": "\u00f1\u0144\u0148",
    "o": "\u00f2\u00f3\u00f4\u00f6\u00f5\u00f8\u014d\u0151",
    "s": "\u0161\u015b\u015f\u00df",
    "u": "\u00f9\u00fa\u00fb\u00fc\u016b\u0171",
    "z": "\u017e\u017a\u017c",
}


def foreign_word(rng: random.Random, script: str) -> str:
    """A word of two to eight letters of a script; the first is a capital at times, where the script has them."""
    first, last = _RANGES[script]
    word = "".join(chr(rng.randint(first, last)) for _ in range(rng.randint(2, 8)))
    return word.capitalize() if rng.random() < 0.2 else word


def foreign_sentence(rng: random.Random, script: str) -> str:
    """Three to ten words and the full stop of the script; some scripts set no spaces."""
    words = [foreign_word(rng, script) for _ in range(rng.randint(3, 10))]
    end = _UNSPACED.get(script)
    return "".join(words) + end.strip() if end else f"{' '.join(words)}{rng.choice('.....?!')}"


def accented(rng: random.Random, word: str) -> str:
    """A Latin word with some of its letters accented."""
    return "".join(rng.choice(_ACCENTS[letter]) if letter in _ACCENTS and rng.random() < 0.35 else letter for letter in word)
