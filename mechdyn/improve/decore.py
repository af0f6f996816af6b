"""DeCoRe: decoding by contrast with the same model without its retrieval heads (Gema et al. 2024).

The next token is the likeliest under (1 + α) log p − α log p′: p is the model's distribution, p′ that of the model with heads off, α
is the entropy of p in nats, so that a sure model goes its own way. No token is ruled out beforehand, as in their published code.

Both go on from one intact prompt, and each keeps its own keys and values: the weaker model's heads are off at every generated position and
at none of the prompt. Published "masking" is `uniform`: the head gives the mean of all visible values (`Ablation`). Beyond the paper the
heads may be each step's own (`Dynamic`): those that retrieve the token that the model itself would give.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechdyn.decoding.ablation import Ablation
from mechdyn.decoding.engine import DecodeState, Engine, HeadEdit
from mechdyn.decoding.engines import make_engine
from mechdyn.errors import InputError
from mechdyn.improve.chosen_heads import ChosenHeads, Retrieving
from mechdyn.improve.plain import read_prompts
from mechdyn.improve.stepping import answer_samples, forced_log_probs
from mechdyn.improve.variant import Answer
from mechdyn.models.model import Model
from mechdyn.schedules import Schedule
from mechdyn.tasks.sample import Sample

METHODS = ("uniform", "zero")


@dataclass(frozen=True)
class ContrastStrength:
    """How strongly to contrast.

    Attributes:
        alpha: a fixed α in place of the entropy.
        cap: the entropy counts up to this many nats.
        scaled: divide the entropy by ln of the vocabulary's size, so that α lies in [0, 1].
    """

    alpha: float | int | None = None
    cap: float | int | None = None
    scaled: bool = False

    def __post_init__(self) -> None:
        for name, value in (("alpha", self.alpha), ("cap", self.cap)):
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name} of DeCoRe must be a finite number of 0 or more, got {value}")
        if self.alpha is not None and (self.cap is not None or self.scaled):
            raise InputError("cap and scaled are of the entropy, which a fixed alpha takes the place of; give one or the other")

    @property
    def is_none(self) -> bool:
        """Whether α is 0 at every step: greedy decoding."""
        return 0 in (self.alpha, self.cap)

    def strength(self, logits: Float[Tensor, "row vocab"]) -> Float[Tensor, "row 1"]:
        """α of each row, from the base's logits."""
        if self.alpha is not None:
            return logits.new_full((len(logits), 1), self.alpha)
        entropy = entropy_of(logits)
        entropy = entropy if self.cap is None else entropy.clamp(max=self.cap)
        return entropy / math.log(logits.shape[1]) if self.scaled else entropy

    def contrasted(self, base: Float[Tensor, "row vocab"], weaker: Float[Tensor, "row vocab"]) -> Float[Tensor, "row vocab"]:
        """(1 + α) of the base's logits less α of the weaker one's: their normalisers shift all tokens alike and are left out."""
        base, weaker = base.float(), weaker.float()
        alpha = self.strength(base)
        return (1 + alpha) * base - alpha * weaker


def entropy_of(logits: Float[Tensor, "row vocab"]) -> Float[Tensor, "row 1"]:
    """Entropy in nats of each row's distribution; a token that cannot come adds nothing."""
    log_p = logits.log_softmax(dim=-1)
    return -(log_p.exp() * log_p).nan_to_num(nan=0.0).sum(dim=-1, keepdim=True)


class Decore:
    """A model that decodes by DeCoRe.

    Heads that are known beforehand (`Static`, `ByStep`) take one forward a step, both models being rows of one batch; others (`Dynamic`)
    take two, since the first shows which heads they are. Until a head is off for the first time, the two models are one.

    Over a given text (`log_probs`) every position is a step.
    """

    def __init__(
        self,
        model: Model,
        schedule: Schedule,
        name: str = "decore",
        *,
        method: str = "uniform",
        contrast: ContrastStrength | None = None,
        retrieving: Retrieving | None = None,
        engine: str | Engine = "auto",
    ) -> None:
        if method not in METHODS:
            raise InputError(f"the weaker model's heads are off by {' or '.join(METHODS)}, got {method!r}")
        self.model, self.name = model, name
        self._ablation = Ablation(schedule, method=method, scope="decode")
        self._ablation.check(model)
        self._contrast, self._retrieving = contrast or ContrastStrength(), retrieving or Retrieving()
        self._engine = make_engine(model, engine)

    def answers(self, samples: Sequence[Sample], *, max_new_tokens: int | None = None) -> list[Answer]:
        return answer_samples(self.model, samples, self._begin, max_new_tokens)

    def log_probs(self, tokens: Int[Tensor, " pos"]) -> Float[Tensor, "pos vocab"]:
        return forced_log_probs(tokens, self._begin)

    def _begin(self, samples: Sequence[Sample]) -> "DecoreSteps":
        state = read_prompts(self._engine, samples)
        heads = ChosenHeads(self.model, self._ablation, self._retrieving, samples, state)
        return DecoreSteps(self._engine, state, heads, self._contrast)


class DecoreSteps:
    """Every row twice in one state, the weaker model's rows behind the base's: they share the prompts and nothing behind them."""

    def __init__(self, engine: Engine, state: DecodeState, heads: ChosenHeads, contrast: ContrastStrength) -> None:
        self._engine, self._heads, self._contrast, self._n = engine, heads, contrast, len(state.next_position)
        self._both = heads.known and not contrast.is_none
        rows = list(range(self._n))
        self._base = engine.fork(state, rows + rows) if self._both else state
        self._weaker = None if self._both or contrast.is_none else engine.fork(state, rows)
        self._parted = torch.zeros(self._n, dtype=torch.bool)

    def step(self, tokens: Int[Tensor, " row"], given: Int[Tensor, " row"] | None = None) -> Float[Tensor, "row vocab"]:
        self._heads.feed(tokens)
        if self._both:
            return self._step_together(tokens)
        observed, self._base = self._engine.step(self._base, tokens)
        if self._weaker is None:
            return observed.logits
        edit = self._heads.edit(observed, observed.logits.argmax(dim=-1))
        weaker, self._weaker = self._engine.step(self._weaker, tokens, edit)
        return self._choose(observed.logits, weaker.logits, edit)

    def _step_together(self, tokens: Int[Tensor, " row"]) -> Float[Tensor, "row vocab"]:
        edit = self._heads.edit(None, None)
        output, self._base = self._engine.step(self._base, tokens.repeat(2), None if edit is None else _second_half(edit))
        return self._choose(output.logits[: self._n], output.logits[self._n :], edit)

    def _choose(
        self, base: Float[Tensor, "row vocab"], weaker: Float[Tensor, "row vocab"], edit: HeadEdit | None
    ) -> Float[Tensor, "row vocab"]:
        """A row in which no head has been off yet has two models that are one: it goes by the base, to the last bit."""
        if edit is not None:
            self._parted |= edit.mask.flatten(1).any(dim=1)
        if not self._parted.any():
            return base
        return torch.where(self._parted.to(base.device)[:, None], self._contrast.contrasted(base, weaker), base.float())

    def select(self, rows: Sequence[int]) -> None:
        kept = list(rows)
        behind = [self._n + row for row in kept] if self._both else []
        self._base = self._engine.fork(self._base, kept + behind)
        if self._weaker is not None:
            self._weaker = self._engine.fork(self._weaker, kept)
        self._heads.select(kept)
        self._parted, self._n = self._parted[kept], len(kept)

    def positions(self, n_prompt: int, n_new: int) -> int:
        return n_prompt + (1 if self._weaker is None and not self._both else 2) * n_new


def _second_half(edit: HeadEdit) -> HeadEdit:
    """The edit for as many rows more, which come before its own and are left alone."""
    averaged = None if edit.averaged is None else torch.cat([torch.zeros_like(edit.averaged), edit.averaged])
    values = None if edit.values is None else torch.cat([torch.zeros_like(edit.values), edit.values])
    return HeadEdit(torch.cat([torch.zeros_like(edit.mask), edit.mask]), values, averaged=averaged)
