"""Making a prompt of an exact number of tokens, and putting evidence into a text at a depth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mechdyn.errors import InputError
from mechdyn.tasks.chat import Prompt
from mechdyn.tasks.prose import Prose
from mechdyn.tasks.sample import Span

ROOM = 64
"""Positions that must be left for the answer."""
_FIT_ATTEMPTS = 24


@dataclass(frozen=True)
class Fitted:
    """A rendered prompt and where things stand in it, in characters.

    Attributes:
        prompt: the prompt.
        evidence: what the answer rests on.
        context_span: the text that is retrieved from.
        others: what looks like evidence and is none.
    """

    prompt: Prompt
    evidence: tuple[Span, ...]
    context_span: Span
    others: tuple[Span, ...] = ()

    def __len__(self) -> int:
        return len(self.prompt)


def check_request(length: int, depth: float, n_ctx: int | None, room: int = ROOM) -> None:
    """Refuse what no haystack could satisfy."""
    if not 0.0 <= depth <= 1.0:
        raise InputError(f"depth must lie in [0, 1], got {depth}; 0 puts the needle at the start of the haystack, 1 at its end")
    if length < 1:
        raise InputError(f"length must be a positive number of tokens, got {length}")
    if n_ctx is not None and n_ctx <= room:
        raise InputError(f"the model holds {n_ctx} positions and the answer may take {room}, so no prompt fits; take a model with more")
    if n_ctx is not None and length + room > n_ctx:
        raise InputError(
            f"length {length} is beyond the model's context of {n_ctx} positions, {room} for the answer; ask for at most {n_ctx - room}"
        )


def fit(assemble: Callable[[int], Fitted], length: int, *, guess: int, what: str = "the needle", missing: str = "any haystack") -> Fitted:
    """The prompt of `length` tokens, or of as many fewer as the tokenizer forces.

    One more of what is counted (a character of the haystack, a line) never makes a prompt much longer, so the number is searched by secant
    steps between one known to be small enough and one known to be too great; the longest prompt that fits is kept.

    Args:
        assemble: the prompt with so much filler; 0 is the bare prompt.
        length: tokens of the whole prompt.
        guess: the filler to try first.
        what: what the bare prompt holds, for the message.
        missing: what it lacks, for the message.

    Raises:
        InputError: the bare prompt is longer than `length`.
    """
    low, best = 0, assemble(0)
    if len(best) > length:
        raise InputError(
            f"length {length} cannot hold {what}: the prompt without {missing} has {len(best)} tokens; ask for a greater length"
        )
    high, high_tokens = None, 0
    guess = max(1, guess)
    for _ in range(_FIT_ATTEMPTS):
        candidate = assemble(guess)
        n_tokens = len(candidate)
        if n_tokens <= length:
            low, best = max(low, guess), max(best, candidate, key=len)
        else:
            high, high_tokens = guess, n_tokens
        if n_tokens == length:
            return best
        guess = _next_cut(low, len(best), high, high_tokens, length)
        if guess <= low or (high is not None and guess >= high):
            break
    return best


def fit_text(assemble: Callable[[str], Fitted], text: str | Prose, length: int, *, joint: str = " ") -> Fitted:
    """As `fit`, the filler being the beginning of a text, which is repeated where it is too short."""

    def cut(size: int) -> str:
        return repeated(text.beginning(size) if isinstance(text, Prose) else text, size, joint)

    bare = assemble("")
    guess = int(3.5 * (length - len(bare)))
    return fit(lambda size: assemble(cut(size)) if size else bare, length, guess=guess)


def placed(prompt: Prompt, start: int, context: str, evidence: Sequence[Span], others: Sequence[Span] = ()) -> Fitted:
    """A prompt in which the context begins at the character `start`; spans are characters of the context."""

    def moved(spans: Sequence[Span]) -> tuple[Span, ...]:
        return tuple((start + begin, start + end) for begin, end in spans)

    return Fitted(prompt, moved(evidence), (start, start + len(context)), moved(others))


def repeated(text: str, size: int, joint: str = " ") -> str:
    """The first `size` characters of a text, which is repeated where it is too short."""
    while len(text) < size:
        text = f"{text}{joint}{text}"
    return text[:size]


def inserted(
    text: str, pieces: Sequence[tuple[str, float]], last_end: Callable[[str, int], int], joint: str = " "
) -> tuple[str, list[Span]]:
    """Put pieces into a text, each behind the last end (of a sentence, of a line) at or before its depth (0 the text's start, 1 its end).

    Args:
        text: the haystack.
        pieces: each with its depth; of two at one place the earlier comes first.
        last_end: of a text and a place in it: behind how many characters a piece may stand there at the latest, 0 for its start.
        joint: what parts a piece from the text around it; the text's own white space behind a piece is dropped.

    Returns:
        The text with the pieces, and the characters of each piece in the order given.
    """
    places = [last_end(text, round(depth * len(text))) for _, depth in pieces]
    spans: dict[int, Span] = {}
    whole, last = "", 0
    for index in sorted(range(len(pieces)), key=lambda index: (places[index], index)):
        between = text[last : places[index]]
        whole = _joined(whole, between.lstrip() if whole else between, joint)
        whole = _joined(whole, pieces[index][0], joint)
        spans[index] = (len(whole) - len(pieces[index][0]), len(whole))
        last = places[index]
    after = text[last:]
    return _joined(whole, after.lstrip() if whole else after, joint), [spans[index] for index in range(len(pieces))]


def _joined(first: str, second: str, joint: str) -> str:
    return f"{first}{joint}{second}" if first and second else first or second


def _next_cut(low: int, low_tokens: int, high: int | None, high_tokens: int, length: int) -> int:
    if high is None:
        return low + max(4, int(4.5 * (length - low_tokens)))
    if high - low < 16 or high_tokens == low_tokens:
        return (low + high) // 2
    share = (length - low_tokens) / (high_tokens - low_tokens)
    return min(max(low + 1, low + round(share * (high - low))), high - 1)
