"""What one strategy did on one sample, round by round: JSON values, so that everything said about a run can be looked at again."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mechdyn.rag.rind import Rind, WordValue
from mechdyn.rag.sentences import Sentence
from mechdyn.rag.windows import Span

_DIGITS = 5
"""RIND's numbers are kept to this many decimals: a log holds thousands of them."""


@dataclass(frozen=True)
class Window:
    """A visible part of the context: tokens of the prompt, characters of the prompt, its text."""

    tokens: Span
    characters: Span
    text: str


@dataclass(frozen=True)
class Round:
    """One pass through Algorithm 1.

    A draft without a flagged sentence ends the answer and has no retrieval: no heads, no windows, nothing rewritten.
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
    """One answer. `stopped` is `eos`, `length`, `rounds` (the bound on rounds was met) or `error` (NaN or infinite logits).

    `forwards` are the model's forward passes that this answer takes by itself; `seconds` its share of the time of passes that it shared
    with others. `shown` counts the context tokens that any of its rewritten sentences saw.
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


def question_from_json(content: Mapping[str, Any]) -> QuestionRecord:
    """The record that `as_json` wrote.

    Raises:
        KeyError, TypeError: content that is no record.
    """
    facts = tuple((start, end) for start, end in content["facts"])
    return QuestionRecord(**{**content, "context": tuple(content["context"]), "facts": facts})


def log_from_json(content: Mapping[str, Any]) -> RagLog:
    """The log that `as_json` wrote (RIND's numbers to five decimals).

    Raises:
        KeyError, TypeError: content that is no log.
    """
    rounds = tuple(_round(round) for round in content["rounds"])
    return RagLog(**{**content, "rounds": rounds, "tokens": tuple(content["tokens"])})


def _round(content: Mapping[str, Any]) -> Round:
    windows = tuple(Window(tuple(window["tokens"]), tuple(window["characters"]), window["text"]) for window in content["windows"])
    rind = _rind(content["rind"]) if content["rind"] is not None else None
    plain = {"heads": tuple(content["heads"]), "facts": tuple(content["facts"])}
    return Round(**{**content, **plain, "windows": windows, "rind": rind})


def _rind(content: Mapping[str, Any]) -> Rind:
    words = tuple(WordValue(**word) for word in content["words"])
    sentences = tuple(Sentence(**sentence) for sentence in content["sentences"])
    return Rind(**{**content, "words": words, "sentences": sentences, "flagged": tuple(content["flagged"])})
