"""Passages of every kind of text to hide needles in, each in a typography of its own."""

import random

from experiments.train_mini.config import TrainConfig
from experiments.train_mini.made_up import PIECES, Lexicon
from experiments.train_mini.texts import natural_texts, training_sources
from experiments.train_mini.typography import break_lines, vary
from mechdyn.tasks.haystack import sentence_ends

SHARES = {
    "procedural": 0.13,
    "book": 0.25,
    "code": 0.2,
    "article": 0.1,
    "mixed": 0.2,
    "dialogue": 0.02,
    "table": 0.02,
    "listing": 0.02,
    "data": 0.02,
    "markup": 0.02,
    "foreign": 0.01,
    "jumble": 0.01,
}
"""How often a row's text is of each kind; `mixed` strings short pieces of all the others together."""
_PURE = tuple(kind for kind in SHARES if kind != "mixed")


class Passages:
    """Draws passages from the books, the Python sources and the made-up kinds."""

    def __init__(self, config: TrainConfig) -> None:
        self._books = natural_texts(config)
        self._sources = training_sources(config)
        self.lexicon = Lexicon.of(self._books)

    def kind(self, rng: random.Random) -> str:
        """A kind, as often as `SHARES` says."""
        return rng.choices(tuple(SHARES), tuple(SHARES.values()))[0]

    def passage(self, rng: random.Random, kind: str, n_chars: int) -> str:
        """About `n_chars` characters of a kind; the last sentence is cut wherever the length falls."""
        if kind == "mixed":
            return self._mixed(rng, n_chars)
        text = self._raw(rng, kind, int(1.3 * n_chars) + 40)
        # Programs keep their quotes and digits more often than not; prose is set anew each time.
        typeset = vary if kind not in ("code", "data", "table") or rng.random() < 0.3 else break_lines
        return typeset(rng, text)[:n_chars].strip()

    def _mixed(self, rng: random.Random, n_chars: int) -> str:
        pieces: list[str] = []
        while (left := n_chars - sum(len(piece) + 1 for piece in pieces)) > 0:
            pieces.append(self.passage(rng, rng.choice(_PURE), min(left, rng.randint(60, 600))))
        return rng.choice((" ", " ", "\n", "\n\n")).join(pieces)[:n_chars].strip()

    def _raw(self, rng: random.Random, kind: str, n_chars: int) -> str:
        if kind == "book":
            return _from_sentence(rng, rng.choice(self._books), n_chars)
        if kind == "code":
            return _from_line(rng, rng.choices(self._sources, [len(source) for source in self._sources])[0], n_chars)
        pieces: list[str] = []
        n = 0
        while n < n_chars:
            pieces.append(PIECES[kind](rng, self.lexicon))
            n += len(pieces[-1]) + 1
        return ("\n" if kind != "procedural" else " ").join(pieces)


def _from_sentence(rng: random.Random, text: str, n_chars: int) -> str:
    """A stretch of text that begins behind the end of a sentence."""
    start = rng.randrange(max(1, len(text) - n_chars))
    ends = sentence_ends(text[start : start + 1000])
    start += ends[0] if ends else 0
    return text[start : start + n_chars].strip()


def _from_line(rng: random.Random, text: str, n_chars: int) -> str:
    """A stretch of a file that begins with a line."""
    start = rng.randrange(max(1, len(text) - n_chars))
    start = text.rfind("\n", 0, start) + 1
    return text[start : start + n_chars].rstrip()
