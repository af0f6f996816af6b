"""What is generated: rows, each one sample under one ablation, and how they are scored."""

import math
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor

from mechdyn.decoding.ablation import Ablation
from mechdyn.decoding.backing import StepBacking
from mechdyn.decoding.sources import StepSources
from mechdyn.errors import InputError
from mechdyn.heads import Head, each_head
from mechdyn.scores.copy_paste import copy_paste
from mechdyn.scores.score import NamedScore, ScoreLike, as_score
from mechdyn.tasks.sample import Sample
from mechdyn.traces.unit import BACKING

MAX_NEW_TOKENS = 64


@dataclass(frozen=True)
class TraceOptions:
    """How a batch is generated and scored."""

    score: NamedScore
    threshold: float
    max_new_tokens: int = MAX_NEW_TOKENS
    keep_patterns: bool = False
    keep_sources: int = 0
    backing: tuple[Head, ...] | None = None
    """Heads whose backing of each token is read; None: not at all."""

    @classmethod
    def of(cls, score: ScoreLike = copy_paste, threshold: float | None = None, **others: Any) -> "TraceOptions":
        """Options with a score however it is asked for, and its own threshold where none is given."""
        named = as_score(score)
        if others.get(BACKING) is not None:
            others[BACKING] = tuple(each_head(others[BACKING]))
        return cls(named, named.threshold if threshold is None else float(threshold), **others)

    @property
    def decoding(self) -> dict[str, Any]:
        """What of this decides a trace, as a unit names it."""
        backing = {} if self.backing is None else {BACKING: list(map(str, self.backing))}
        return {"score": self.score.short, "threshold": self.threshold, "max_new_tokens": self.max_new_tokens, **backing}

    def __post_init__(self) -> None:
        if math.isnan(self.threshold):
            raise InputError("threshold must be a number, got NaN; no score is above NaN, so no head could ever retrieve")
        if self.keep_sources < 0:
            raise InputError(f"keep_sources must be 0 (none) or more, got {self.keep_sources}")
        if self.max_new_tokens < 1:
            raise InputError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")


@dataclass(eq=False)
class Row:
    """One sample under one ablation while it is being generated; lists have one entry a step."""

    sample: Sample
    ablation: Ablation | None = None
    tokens: list[int] = field(default_factory=list)
    scores: list[Float[Tensor, "layer head"]] = field(default_factory=list)
    sentence_scores: list[Float[Tensor, " sentence"]] = field(default_factory=list)
    hidden: list[Float[Tensor, " d_model"]] = field(default_factory=list)
    ablated: list[Bool[Tensor, "layer head"]] = field(default_factory=list)
    ablated_scores: list[Float[Tensor, "layer head"]] = field(default_factory=list)
    patterns: list[Float[Tensor, "layer head key"]] = field(default_factory=list)
    sources: list[StepSources] = field(default_factory=list)
    backing: list[StepBacking] = field(default_factory=list)
    stopped: str = ""
