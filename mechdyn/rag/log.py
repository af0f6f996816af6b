"""What one strategy did on one sample, round by round: JSON values, so that everything said about a run can be looked at again."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import cache
from math import isfinite
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from mechdyn.rag.rind import Rind
from mechdyn.rag.windows import Span

STOPPED = ("eos", "length", "rounds", "error")
"""Why an answer ends: the model ended it, at the limit of new tokens, at the bound on rounds, or by NaN or infinite logits."""
_DIGITS = 5
"""RIND's numbers are kept to this many decimals: a log holds thousands of them."""
_JSON = {dict: "an object", list: "a list", str: "text", int: "a whole number", float: "a number", bool: "true or false"}
_LONGEST = 300
"""Characters of a message about content that is of another type."""


@dataclass(frozen=True)
class Window:
    """A visible part of the context: tokens of the prompt, characters of the prompt, its text."""

    tokens: Span
    characters: Span
    text: str


@dataclass(frozen=True)
class Round:
    """One pass through Algorithm 1.

    A draft without a flagged sentence ends the answer and has no retrieval: no heads, no windows, nothing rewritten. A strategy that
    chooses windows by itself has windows and no heads.
    """

    draft: str
    rind: Rind | None
    """None where the draft is empty: the model ended the answer at once."""
    kept: str
    """What was kept of the draft: its sentences before the first flagged one, or all of it."""
    retrieved: bool = False
    heads: tuple[str, ...] = ()
    windows: tuple[Window, ...] = ()
    facts: tuple[float, ...] = ()
    """The share of each supporting fact's tokens that the windows show."""
    rewritten: str = ""
    """The first new sentence, which took the flagged one's place."""


@dataclass(frozen=True)
class RagLog:
    """One answer. `stopped` says why it ended, one of `STOPPED`.

    `forwards` counts the model's forward passes that this answer would take by itself, `seconds` is its share of the time of passes that
    it had in common with others. `shown` counts the tokens of the context that any of its rewritten sentences saw.
    """

    sample: str
    strategy: str
    text: str
    tokens: tuple[int, ...]
    stopped: str
    shown: int
    rounds: tuple[Round, ...] = ()
    forwards: int = 0
    seconds: float = 0.0
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def retrievals(self) -> tuple[Round, ...]:
        """The rounds that retrieved."""
        return tuple(round for round in self.rounds if round.retrieved)

    def as_json(self) -> dict[str, Any]:
        content = asdict(self)
        for round in content["rounds"]:
            for word in (round["rind"] or {}).get("words", ()):
                word |= {name: float(f"{word[name]:.{_DIGITS}f}") for name in ("attention", "entropy", "value")}
        return content


@dataclass(frozen=True)
class QuestionRecord:
    """What logs are read beside: the prompt with its context and its supporting facts, as characters of the prompt."""

    sample: str
    task: str
    question: str
    answer: str
    prompt: str
    context: Span
    context_tokens: int
    facts: tuple[Span, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def question_from_json(content: Any) -> QuestionRecord:
    """The record that `as_json` wrote.

    Raises:
        KeyError, TypeError, ValueError: content that is no record.
    """
    return _value(QuestionRecord, content, "the question")


def log_from_json(content: Any) -> RagLog:
    """The log that `as_json` wrote (RIND's numbers to five decimals).

    Raises:
        KeyError, TypeError, ValueError: content that is no log.
    """
    log: RagLog = _value(RagLog, content, "the log")
    if log.stopped not in STOPPED:
        raise ValueError(f"stopped must be one of {', '.join(STOPPED)}, got {log.stopped!r}")
    for round in log.rounds:
        _check(round)
    return log


def _check(round: Round) -> None:
    """Refuse a round that points at sentences which it does not have."""
    found = round.rind
    places = (*found.flagged, *(word.sentence for word in found.words)) if found else ()
    if found and not all(0 <= place < len(found.sentences) for place in places):
        raise ValueError(f"a round has {len(found.sentences)} sentences and speaks of others: {sorted(set(places))}")
    if round.retrieved and (found is None or found.first_flagged is None):
        raise ValueError("a round retrieved, and none of its sentences is flagged")


def _value(kind: Any, content: Any, what: str) -> Any:
    """JSON content as a value of a type: a dataclass, a tuple, `X | None`, a mapping, text, a number or a truth value.

    Raises:
        TypeError, ValueError: content of another type, fields that are unknown or lacking, numbers that are not finite.
    """
    if isinstance(kind, UnionType):
        return None if content is None else _value(get_args(kind)[0], content, what)
    if is_dataclass(kind):
        return _record(kind, content, what)
    if get_origin(kind) is tuple:
        return _tuple(get_args(kind), content, what)
    if get_origin(kind) is Mapping:
        return _of_type(dict, content, what)
    if kind is float:
        number = float(content) if type(content) is int else _of_type(float, content, what)
        if not isfinite(number):
            raise ValueError(f"{what} must be a finite number, got {number}")
        return number
    return _of_type(kind, content, what)


def _record(kind: Any, content: Any, what: str) -> Any:
    types = _types(kind)
    if unknown := _of_type(dict, content, what).keys() - types:
        raise TypeError(f"{what} has an unknown field {min(unknown)!r}")
    return kind(**{name: _value(types[name], content[name], name) for name in content})


def _tuple(kinds: tuple[Any, ...], content: Any, what: str) -> tuple[Any, ...]:
    items = _of_type(list, content, what)
    each = (kinds[0],) * len(items) if kinds[-1] is Ellipsis else kinds
    if len(items) != len(each):
        raise ValueError(f"{what} must be {len(each)} numbers, got {len(items)}")
    return tuple(_value(kind, item, f"an item of {what}") for kind, item in zip(each, items, strict=True))


def _of_type(kind: type, content: Any, what: str) -> Any:
    if type(content) is not kind:
        raise TypeError(f"{what} must be {_JSON[kind]}, got {content!r}"[:_LONGEST])
    return content


@cache
def _types(kind: type) -> dict[str, Any]:
    """The types of a dataclass's fields."""
    return get_type_hints(kind)
