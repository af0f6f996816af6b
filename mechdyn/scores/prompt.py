"""Scores of heads from the rows of a prompt's question, no token generated: the door for them, and what they start from.

A score of a step (`score.py`) sees one attention row. One of a prompt sees what each head's rows of the question give every document of the
context; it ranks heads (`mechdyn heads detect`) and marks no step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from jaxtyping import Bool, Float

from mechdyn.errors import InputError
from mechdyn.registry import Registry
from mechdyn.tensors import Tensor, torch

OUTLIER_SDS = 2.0
"""Tokens this many standard deviations below their document's mean are left out (QRHead)."""


@runtime_checkable
class PromptScore(Protocol):
    """Scores of every head on one sample, from what it gives each document; `gold` marks the documents that hold the evidence."""

    def __call__(self, documents: Float[Tensor, "layer head document"], gold: Bool[Tensor, " document"]) -> Float[Tensor, "layer head"]: ...


@dataclass(frozen=True)
class NamedPromptScore:
    """A prompt's score with its name, and in words what the mean over samples is."""

    name: str
    score: PromptScore
    statistic: str


PROMPT_SCORES: Registry[Any] = Registry("score of prompts", "mechdyn.scores")
Registered = TypeVar("Registered", bound=Callable[..., Any])
_STATISTICS: dict[str, str] = {}


def prompt_score(name: str, *, statistic: str) -> Callable[[Registered], Registered]:
    """Give a score of prompts a name: `@prompt_score("name", statistic="…")` above a function.

    Raises:
        InputError: a name that another has.
    """

    def register(thing: Registered) -> Registered:
        PROMPT_SCORES.register(name, thing)
        _STATISTICS[name] = statistic
        return thing

    return register


def get_prompt_score(name: str) -> NamedPromptScore:
    """The score of prompts of that name.

    Raises:
        InputError: there is none.
    """
    return NamedPromptScore(name, PROMPT_SCORES.get(name), _STATISTICS[name])


def document_scores(
    calibrated: Float[Tensor, "layer head key"], documents: Sequence[tuple[int, int]]
) -> Float[Tensor, "layer head document"]:
    """What each head gives each document: the sum of c over its tokens, those below mean − 2 · sd of the document's left out (QRHead).

    The standard deviation is the unbiased one over the document's tokens, so that a document of one token, which has none, gets 0.

    Args:
        calibrated: c, the mean attention of the question's rows to every key, less the same under the question "N/A".
        documents: token positions [start, end) of each.

    Raises:
        InputError: no document, or one without a token.
    """
    empty = [place for place in documents if place[1] <= place[0]]
    if not documents or empty:
        raise InputError(f"documents are given as positions [start, end) of at least one token each, got {empty[0] if empty else 'none'}")
    found = [_without_outliers(calibrated[..., start:end]) for start, end in documents]
    return torch.stack(found, dim=-1)


def _without_outliers(tokens: Float[Tensor, "layer head token"]) -> Float[Tensor, "layer head"]:
    if tokens.shape[-1] == 1:
        return torch.zeros(tokens.shape[:-1])
    least = tokens.mean(dim=-1, keepdim=True) - OUTLIER_SDS * tokens.std(dim=-1, keepdim=True)
    return torch.where(tokens > least, tokens, 0.0).sum(dim=-1)
