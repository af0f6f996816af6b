"""Tokenising a text piece by piece, each piece once: most words of a prompt have been seen before.

A byte-level tokenizer parts a text into words before it looks at them, and a single space between two characters that are none always
begins a word. So the tokens of such pieces, side by side, are the tokens of the text, and a piece need be tokenised only the first time.
Most texts are words with one space between them, which `str.split` finds far sooner than a search for boundaries does.
Tokenizers that may be built otherwise are held against a text of all sorts, and any doubt leaves the text to them whole.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import chain
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
from tokenizers import models

_MOST = 4_096
"""Pieces that are remembered; more are begun anew."""
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


class _Words(dict[str, Any]):
    """What `learn` gives for a word with the space before it, asked for once a word.

    A LookupError for what begins or ends with white space, or is empty: a space beside it begins no piece.
    """

    def __init__(self, learn: Callable[[str], Any]) -> None:
        super().__init__()
        self._learn = learn

    def __missing__(self, word: str) -> Any:
        if not word or word[0].isspace() or word[-1].isspace():
            raise LookupError(word)
        if len(self) >= _MOST:
            self.clear()
        found = self[word] = self._learn(f" {word}")
        return found


class Pieces:
    """A tokenizer that remembers pieces; `fits` says whether it gives what the tokenizer gives, and it must not be used if not."""

    _BY_TOKENIZER: ClassVar[WeakKeyDictionary[Any, "Pieces"]] = WeakKeyDictionary()

    def __init__(self, tokenizer: Any) -> None:
        self._backend: Any = getattr(tokenizer, "backend_tokenizer", None)
        self._spelled = lru_cache(_MOST)(partial(_spelled, self._backend))
        self._words = _Words(self._spelled)
        self._lengths = _Words(lambda piece: len(self._spelled(piece)))
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
        n_special = len(self._before) + len(self._after) if special else 0
        words = text.split(" ")
        try:
            return n_special + self._n_tokens(words)
        except LookupError:
            return n_special + self._n_tokens(_whole_words(words))

    def spell(self, text: str, special: bool) -> Spelled:
        """The tokens of the text."""
        words = text.split(" ")
        try:
            found = self._of_each(words)
        except LookupError:
            words = _whole_words(words)
            found = self._of_each(words)
        ids = list(chain.from_iterable([piece.ids for piece in found]))
        n_tokens = np.array([len(piece.ids) for piece in found])
        inside = np.fromiter(chain.from_iterable([piece.ends for piece in found]), dtype=np.int64, count=2 * len(ids))
        behind = np.array(list(map(len, words))).cumsum() + np.arange(len(words))  # a space between two words
        starts = np.concatenate([[0], behind[:-1]])
        ends = inside + np.repeat(starts, 2 * n_tokens)
        if special:
            ids, ends = [*self._before.ids, *ids, *self._after.ids], np.concatenate([self._before.ends, ends, self._after.ends])
        return Spelled(ids, ends.astype(np.int64, copy=False))

    def _n_tokens(self, words: Sequence[str]) -> int:
        """The tokens of words with a space between them; a LookupError where one of these spaces begins no piece."""
        first, inside, last = _apart(words)
        n_inside = sum(map(self._lengths.__getitem__, inside))
        return len(self._spelled(first)) + n_inside + (len(self._spelled(last)) if last else 0)

    def _of_each(self, words: Sequence[str]) -> list[Spelled]:
        """The tokens of each word, all but the first with the space before it; a LookupError as for `_n_tokens`."""
        first, inside, last = _apart(words)
        return [self._spelled(first), *map(self._words.__getitem__, inside), *([self._spelled(last)] if last else [])]

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


def _apart(words: Sequence[str]) -> tuple[str, Sequence[str], str]:
    """The first piece, the words between and the last piece, which is empty where there is but one.

    What stands at a text's edge may begin or end with white space there, as no word inside may.

    Raises:
        LookupError: white space, or nothing, on the inner side of either.
    """
    first, last = words[0], words[-1]
    if len(words) == 1:
        return first, (), ""
    if not first or first[-1].isspace() or not last or last[0].isspace():
        raise LookupError("the first word, or the last")
    return first, words[1:-1], f" {last}"


def _whole_words(words: list[str]) -> list[str]:
    """What a text's spaces part, joined again where a space has white space or nothing beside it and so begins no piece."""
    ragged = {word for word in set(words) if not word or word[0].isspace() or word[-1].isspace()}
    places = [place for place, word in enumerate(words) if word in ragged]
    joined, start = words[:1], 1
    for place in sorted({*places, *(place + 1 for place in places)} - {0, len(words)}):
        joined += words[start:place]
        before, word, start = joined[-1], words[place], place + 1
        if before and word and not before[-1].isspace() and not word[0].isspace():
            joined.append(word)
        else:
            joined[-1] = f"{before} {word}"
    return joined + words[start:]


def _spelled(backend: Any, piece: str) -> Spelled:
    """The tokens of a piece."""
    encoding = backend.encode(piece, add_special_tokens=False)
    return Spelled(encoding.ids, list(chain.from_iterable(encoding.offsets)))


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
