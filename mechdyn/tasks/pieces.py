"""Tokenising a text piece by piece, each piece once: most words of a prompt have been seen before.

A byte-level tokenizer parts a text into words before it looks at them, and a single space between two characters that are none always
begins a word. So the tokens of such pieces, side by side, are the tokens of the text, and a piece need be tokenised only the first time.
Tokenizers that may be built otherwise are held against a text of all sorts, and any doubt leaves the text to them whole.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
from tokenizers import models

_BOUNDARY = re.compile(r"(?<=\S)(?= \S)")
_UNSURE = re.compile(r"\. (?:\s|\. |\Z)")
"""An end of a sentence behind which no piece begins."""
_MOST = 10_000
"""Pieces and sentences that are remembered; more are begun anew."""
_MOST_CUTS = 5_000
"""Sentences whose pieces are."""
_PLAIN_NORMALIZERS = (None, "NFC")
ALL_SORTS = (
    "The magic word is 3f2b-77ac. He said: \"It isn't far\", didn't he?  Two  spaces, a tab\tand\n\nlines \n of 1234567 and 3.14!\r\n"
    "“Curly” — l’été déjà… naïve Größe, кот и пёс; 漢字 かな 한글 עברית عربى 🙂👩‍👩‍👧 e\u0301 \u00a0nbsp \u2003em. "
    "def f(x: int) -> str:\n    return {'a': [1, 2]}  # end\n"
    " <b>a_b</b> http://x.y/?q=1&z=%20 I'LL WE'VE you'D MixedCASE A. B. C? D! (E) [F] ~ ` ^ $5 €6 x² ½ Ⅳ ١٢٣."
)
"""What any change of a text, and any splitting of it that is not at spaces, would show in."""


@dataclass(frozen=True, eq=False)
class Spelled:
    """The ids of a text's tokens and, one token behind the other, the first character of each and the one behind its last."""

    ids: Sequence[int]
    ends: Sequence[int] | np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def edges(self) -> np.ndarray:
        """The characters [start, end) of each token, `token 2`."""
        return np.asarray(self.ends, dtype=np.int64).reshape(-1, 2)


def whole(tokenizer: Any, text: str, special: bool) -> Spelled:
    """A text through the tokenizer as it is; `special`: with the special tokens that it adds by itself."""
    encoding = tokenizer(text, add_special_tokens=special, return_offsets_mapping=True)
    return Spelled(encoding["input_ids"], list(chain.from_iterable(encoding["offset_mapping"])))


class Pieces:
    """A tokenizer that remembers pieces; `fits` says whether it gives what the tokenizer gives, and it must not be used if not."""

    _BY_TOKENIZER: ClassVar[WeakKeyDictionary[Any, "Pieces"]] = WeakKeyDictionary()

    def __init__(self, tokenizer: Any) -> None:
        self._backend: Any = getattr(tokenizer, "backend_tokenizer", None)
        self._pieces: dict[str, Spelled] = {}
        self._counts: dict[str, int] = {}
        self._inner: dict[str, int] = {}
        self._cuts: dict[str, list[str]] = {}
        self._n_vocab = 0 if self._backend is None else self._backend.get_vocab_size()
        self._before, self._after = Spelled((), ()), Spelled((), ())
        self.fits = (
            self._backend is not None and _parts_at_spaces(self._backend) and self._learn_special(tokenizer) and self._agrees(tokenizer)
        )

    @classmethod
    def of(cls, tokenizer: Any) -> "Pieces":
        """The one of this tokenizer, made where there is none or its vocabulary has grown."""
        found = cls._BY_TOKENIZER.get(tokenizer)
        if found is None or (found.fits and found._is_stale()):
            found = cls._BY_TOKENIZER[tokenizer] = cls(tokenizer)
        return found

    def count(self, text: str, special: bool) -> int:
        """How many tokens the text has."""
        total = len(self._before) + len(self._after) if special else 0
        parts = _parts(text)
        if len(parts) == 1:
            return total + self._count(text)
        first, last, inner = f"{parts[0]}.", f" {parts[-1]}", parts[1:-1]
        try:
            n_inner = sum(map(self._inner.__getitem__, inner))
        except KeyError:
            if len(self._inner) > _MOST:
                self._inner.clear()
            self._inner.update((part, self._count(f" {part}.")) for part in inner if part not in self._inner)
            n_inner = sum(map(self._inner.__getitem__, inner))
        return total + self._count(first) + n_inner + self._count(last)

    def _count(self, sentence: str) -> int:
        """The tokens of a sentence, from memory or for the first time."""
        known = self._counts.get(sentence)
        if known is not None:
            return known
        if len(self._counts) > _MOST:
            self._counts.clear()
        pieces = self._cut(sentence)
        try:
            n_tokens = sum(map(self._counts.__getitem__, pieces))
        except KeyError:
            self._counts.update((piece, len(self._spelled(piece))) for piece in pieces)
            n_tokens = sum(map(self._counts.__getitem__, pieces))
        self._counts[sentence] = n_tokens
        return n_tokens

    def spell(self, text: str, special: bool) -> Spelled:
        """The tokens of the text."""
        pieces = list(chain.from_iterable(map(self._cut, _sentences(text))))
        try:
            found = list(map(self._pieces.__getitem__, pieces))
        except KeyError:
            found = list(map(self._spelled, pieces))
        ids = list(chain.from_iterable([piece.ids for piece in found]))
        lengths = np.fromiter(map(len, pieces), dtype=np.int64, count=len(pieces))
        n_tokens = np.fromiter([len(piece.ids) for piece in found], dtype=np.int64, count=len(pieces))
        inside = np.fromiter(chain.from_iterable([piece.ends for piece in found]), dtype=np.int64, count=2 * len(ids))
        ends = inside + np.repeat(lengths.cumsum() - lengths, 2 * n_tokens)
        if special:
            ids, ends = [*self._before.ids, *ids, *self._after.ids], np.concatenate([self._before.ends, ends, self._after.ends])
        return Spelled(ids, ends.astype(np.int64, copy=False))

    def _cut(self, sentence: str) -> list[str]:
        """The pieces of a sentence; a text is built from the same ones several times over until its length is right."""
        found = self._cuts.get(sentence)
        if found is None:
            if len(self._cuts) > _MOST_CUTS:
                self._cuts.clear()
            found = self._cuts[sentence] = _pieces(sentence)
        return found

    def _spelled(self, piece: str) -> Spelled:
        """The tokens of a piece, from memory or for the first time."""
        found = self._pieces.get(piece)
        if found is None:
            if len(self._pieces) > _MOST:
                self._pieces.clear()
            encoding = self._backend.encode(piece, add_special_tokens=False)
            found = self._pieces[piece] = Spelled(encoding.ids, list(chain.from_iterable(encoding.offsets)))
        return found

    def _is_stale(self) -> bool:
        backend = self._backend
        return backend.get_vocab_size() != self._n_vocab or backend.truncation is not None or backend.padding is not None

    def _learn_special(self, tokenizer: Any) -> bool:
        """The tokens that the tokenizer puts around any text; False where these depend on the text."""
        with_them, without = (whole(tokenizer, "a", special) for special in (True, False))
        n_more = len(with_them) - len(without)
        for start in range(n_more + 1):
            end = start + len(without)
            if with_them.ids[start:end] == without.ids:
                self._before = Spelled(with_them.ids[:start], with_them.ends[: 2 * start])
                self._after = Spelled(with_them.ids[end:], with_them.ends[2 * end :])
                return not np.any(self._before.ends) and not np.any(self._after.ends)
        return False

    def _agrees(self, tokenizer: Any) -> bool:
        """Whether a text of all sorts has the same tokens either way."""
        for special in (False, True):
            ours, theirs = self.spell(ALL_SORTS, special), whole(tokenizer, ALL_SORTS, special)
            if ours.ids != theirs.ids or not np.array_equal(ours.edges, theirs.edges):
                return False
        return self.count(ALL_SORTS, True) == len(theirs)


def _parts(text: str) -> list[str]:
    """What stands between the ends of sentences, ". ", where pieces begin behind each of these; else the text alone."""
    return [text] if _UNSURE.search(text) else text.split(". ")


def _sentences(text: str) -> list[str]:
    """The text in parts that begin where pieces begin."""
    parts = _parts(text)
    if len(parts) == 1:
        return [text]
    return [f"{parts[0]}.", *(f" {part}." for part in parts[1:-1]), f" {parts[-1]}"]


def _pieces(text: str) -> list[str]:
    """What `_BOUNDARY` parts a text into; words with one space between them need not be searched for it."""
    words = text.split()
    plain = " ".join(words)
    if not plain or text not in (plain, f" {plain}"):
        return _BOUNDARY.split(text)
    pieces = [f" {word}" for word in words]
    return pieces if text[0] == " " else [words[0], *pieces[1:]]


def _parts_at_spaces(backend: Any) -> bool:
    """Whether a tokenizer is of the kind that is described above; what is not known is not trusted."""
    if not isinstance(backend.model, models.BPE) or backend.model.dropout:
        return False
    if backend.truncation is not None or backend.padding is not None or backend.pre_tokenizer is None:
        return False
    if _state(backend.normalizer).get("type") not in _PLAIN_NORMALIZERS:
        return False
    for token in backend.get_added_tokens_decoder().values():
        if token.lstrip or token.rstrip or token.single_word or any(character.isspace() for character in token.content):
            return False
    first = _state(backend.pre_tokenizer)
    steps = first.get("pretokenizers", [first])
    return steps[-1].get("type") == "ByteLevel" and all(map(_keeps_to_the_word, steps))


def _keeps_to_the_word(step: dict[str, Any]) -> bool:
    """Whether a step of the splitting into words looks at nothing before a word."""
    kind = step.get("type")
    if kind == "Split":
        return "(?<" not in step.get("pattern", {}).get("Regex", "(?<")
    return kind == "Digits" or (kind == "ByteLevel" and not step.get("add_prefix_space", True))


def _state(part: Any) -> dict[str, Any]:
    """A part of a tokenizer as the JSON that it is kept as; empty for none."""
    return {} if part is None else json.loads(part.__getstate__())
