"""The same needle with its pieces in another order: does what a head does follow the token, or the step?

The magic word is some pieces apart by hyphens, `4-8-1-9-0-6`. In another order of the same pieces each token is copied at another step,
and each step copies another token. The orders of a needle are a Latin square in which every piece stands at every place once and behind
every other piece once (Williams 1949), so that neither the place nor the neighbour of a piece is confounded with it. With each order in
several haystacks there are pairs of steps with the same token at another step, the same step with another token, neither the same, and both
the same elsewhere.
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar

from mechdyn.errors import InputError
from mechdyn.metrics import contains_answer
from mechdyn.tasks.chat import Prompt, encode, token_spans
from mechdyn.tasks.fitting import Fitted, fit_text, inserted
from mechdyn.tasks.haystack import haystack_text, last_sentence_end
from mechdyn.tasks.made import HaystackTask, Place
from mechdyn.tasks.niah import QUESTION, in_frame, needle_sentence
from mechdyn.tasks.sample import Sample, Span
from mechdyn.tasks.task import Spec, option, task
from mechdyn.tasks.values import check_count, draw_distinct

JOINT = "-"
KINDS_OF_PIECES: Mapping[str, Callable[[random.Random], str]] = MappingProxyType(
    {
        "digits": lambda rng: str(rng.randrange(10)),
        "numbers": lambda rng: str(rng.randint(100, 999)),
        "hex": lambda rng: f"{rng.getrandbits(16):04x}",
    }
)
_CANDIDATES = MappingProxyType({"digits": 10, "numbers": 40, "hex": 40})
_MOST = 10
_DRAWS = 100


@task
@dataclass(frozen=True)
class Permuted(HaystackTask):
    """A needle of pieces in one of its orders; accuracy is whether the answer holds it.

    Every piece has the same tokens wherever it stands, and all have equally many, so that the prompts of all orders in one haystack differ
    in the order of those tokens alone; pieces for which that fails are not taken. `digits`, whose pieces are a token each and differ, is
    the clean design; whether a tokenizer keeps pieces apart is checked for each sample. `meta["pieces"]` are the pieces in the order 0,
    `meta["places"]` the piece at each place, `meta["piece_tokens"]` the positions [start, end) of each piece.
    """

    name: ClassVar[str] = "permuted"

    pieces: int = option(6, "How many pieces: 4, 6, 8 or 10.")
    kind: str = option("digits", "digits, numbers (of three digits) or hex (four hexadecimal digits): what a piece is.")
    order: int = option(0, "Which of the orders, of which there are as many as pieces.")

    def check(self) -> None:
        check_count("pieces", self.pieces, 4, _MOST)
        if self.pieces % 2:
            raise InputError(f"pieces must be an even number, got {self.pieces}: only then does every piece follow every other once")
        check_count("order", self.order, 0, self.pieces - 1)
        if self.kind not in KINDS_OF_PIECES:
            raise InputError(f"kind must be one of {', '.join(KINDS_OF_PIECES)}, got {self.kind!r}")

    @classmethod
    def quality(cls, text: str, answer: str) -> dict[str, float]:
        return {"accuracy": contains_answer(text, answer)}

    def family(self, *, length: int, depth: float, needle_seed: int, seeds: Sequence[int]) -> dict[tuple[int, int], Spec]:
        """The specs of one needle in all of its orders, each in the haystack of every seed; by (order, seed)."""
        orders = {order: replace(self, order=order) for order in range(self.pieces)}
        return {
            (order, seed): {**one.spec(length, depth, seed), "needle_seed": needle_seed} for order, one in orders.items() for seed in seeds
        }

    def make(self, tokenizer: Any, place: Place) -> Sample:
        pieces = _aligned_pieces(tokenizer, self.kind, self.pieces, place.needle_seed)
        places = williams_orders(self.pieces)[self.order]
        value = JOINT.join(pieces[piece] for piece in places)
        needle = needle_sentence(value)

        def assemble(filler: str) -> Fitted:
            context, spans = inserted(filler, [(needle, place.depth)], last_sentence_end)
            return in_frame(tokenizer, context, QUESTION, spans)

        fitted = fit_text(assemble, haystack_text(self.haystack, place.seed, place.length), place.length)
        found = _piece_tokens(fitted.prompt, fitted.evidence[0][0] + needle.index(value), pieces, places)
        alone = _piece_tokens(encode(tokenizer, needle, add_special_tokens=False), needle.index(value), pieces, places)
        if found is None or alone is None or found.ids != alone.ids:
            raise _not_aligned(self.kind)
        about = {"pieces": pieces, "places": list(places), "piece_tokens": [list(span) for span in found.spans]}
        return self.finished(fitted, place, question=QUESTION, answer=value, **about)


def williams_orders(n: int) -> tuple[tuple[int, ...], ...]:
    """`n` orders of `n` pieces, `n` even: the first is 0, 1, 2, …, each piece is at each place once, and behind each other piece once."""
    zigzag = [place // 2 if place % 2 == 0 else n - 1 - place // 2 for place in range(n)]
    first = {piece: place for place, piece in enumerate(zigzag)}
    return tuple(tuple(first[(piece + shift) % n] for piece in zigzag) for shift in range(n))


def copied_pieces(meta: Mapping[str, Any], prompt: Sequence[int], answer: Sequence[int]) -> list[tuple[int, int] | None]:
    """Which piece each step of an answer copies, and which token of it; None at hyphens and at steps outside the magic word.

    Args:
        meta: the sample's.
        prompt: the prompt's token ids.
        answer: the generated ones. An answer without the magic word token for token copies nothing: all None.
    """
    spans = meta["piece_tokens"]
    start, end = min(first for first, _ in spans), max(last for _, last in spans)
    wanted, found = list(prompt[start:end]), list[tuple[int, int] | None]([None] * len(answer))
    for step in range(len(answer) - len(wanted) + 1):
        if list(answer[step : step + len(wanted)]) == wanted:
            for piece, (first, last) in enumerate(spans):
                for position in range(first, last):
                    found[step + position - start] = (piece, position - first)
            break
    return found


@dataclass(frozen=True)
class _PieceTokens:
    """Positions [start, end) and token ids of each piece, in the pieces' own order."""

    spans: tuple[Span, ...]
    ids: tuple[tuple[int, ...], ...]


def _aligned_pieces(tokenizer: Any, kind: str, n: int, seed: int) -> list[str]:
    """Pieces that this tokenizer keeps apart in all orders of a needle, equally many tokens each.

    Raises:
        InputError: none of many draws are such pieces.
    """
    rng = random.Random(f"permuted-{seed}")
    for _ in range(_DRAWS):
        candidates = draw_distinct(KINDS_OF_PIECES[kind], min(4 * n, _CANDIDATES[kind]), rng, what="pieces")
        pieces = _of_one_size(tokenizer, candidates, n)
        found = [_in_needle(tokenizer, pieces, order) for order in williams_orders(n)] if pieces else [None]
        if all(each is not None and found[0] is not None and each.ids == found[0].ids for each in found):
            return pieces
    raise _not_aligned(kind)


def _not_aligned(kind: str) -> InputError:
    others = " or ".join(other for other in KINDS_OF_PIECES if other != kind)
    return InputError(
        f"under this tokenizer {kind} apart by {JOINT!r} have other tokens at other places, or unequally many, so that orders cannot be "
        f"compared; try kind {others}"
    )


def _of_one_size(tokenizer: Any, candidates: Sequence[str], n: int) -> list[str]:
    """The first `n` candidates of the commonest number of tokens between hyphens; none where there are fewer."""
    sizes = {piece: len(encode(tokenizer, f"{JOINT}{piece}{JOINT}", add_special_tokens=False).tokens) for piece in candidates}
    commonest, _ = Counter(sizes.values()).most_common(1)[0]
    found = [piece for piece in candidates if sizes[piece] == commonest]
    return found[:n] if len(found) >= n else []


def _in_needle(tokenizer: Any, pieces: Sequence[str], order: Sequence[int]) -> _PieceTokens | None:
    value = JOINT.join(pieces[piece] for piece in order)
    needle = needle_sentence(value)
    return _piece_tokens(encode(tokenizer, needle, add_special_tokens=False), needle.index(value), pieces, order)


def _piece_tokens(prompt: Prompt, start: int, pieces: Sequence[str], order: Sequence[int]) -> _PieceTokens | None:
    """The tokens of each piece of a value that begins at the character `start`; None where a token reaches beyond its piece."""
    spans = []
    for piece in order:
        spans.append((start, start + len(pieces[piece])))
        start = spans[-1][1] + len(JOINT)
    found: dict[int, Span] = {}
    for piece, (begin, end), (first, last) in zip(order, spans, token_spans(prompt, spans), strict=True):
        covered = prompt.offsets[first:last]
        if not covered or covered[0][0] < begin or covered[-1][1] > end:
            return None
        found[piece] = (first, last)
    ordered = tuple(found[piece] for piece in range(len(pieces)))
    return _PieceTokens(ordered, tuple(tuple(prompt.tokens[first:last].tolist()) for first, last in ordered))
