"""The two variants that everything is held against: the model as it is, and the model with heads switched off by a schedule."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechdyn.decoding.ablation import Ablate, Ablation, as_ablation
from mechdyn.decoding.engine import DecodeState, Engine
from mechdyn.decoding.engines import make_engine
from mechdyn.errors import InputError
from mechdyn.improve.chosen_heads import ChosenHeads, Retrieving
from mechdyn.improve.stepping import answer_samples, forced_log_probs, whole_log_probs
from mechdyn.improve.variant import Answer
from mechdyn.models.model import Model
from mechdyn.tasks.sample import Sample


class Plain:
    """The model as it is: greedy decoding from its own distribution."""

    def __init__(self, model: Model, name: str = "plain", engine: str | Engine = "auto") -> None:
        self.model, self.name = model, name
        self._engine = make_engine(model, engine)

    def answers(self, samples: Sequence[Sample], *, max_new_tokens: int | None = None) -> list[Answer]:
        return answer_samples(self.model, samples, self._begin, max_new_tokens)

    def log_probs(self, tokens: Int[Tensor, " pos"]) -> Float[Tensor, "pos vocab"]:
        return whole_log_probs(self.model, tokens)

    def _begin(self, samples: Sequence[Sample]) -> "PlainSteps":
        return PlainSteps(self._engine, read_prompts(self._engine, samples))


class PlainSteps:
    """One forward a step."""

    def __init__(self, engine: Engine, state: DecodeState) -> None:
        self._engine, self._state = engine, state

    def step(self, tokens: Int[Tensor, " row"], given: Int[Tensor, " row"] | None = None) -> Float[Tensor, "row vocab"]:
        output, self._state = self._engine.step(self._state, tokens)
        return output.logits

    def select(self, rows: Sequence[int]) -> None:
        self._state = self._engine.fork(self._state, rows)

    def positions(self, n_prompt: int, n_new: int) -> int:
        return n_prompt + n_new


class Ablated:
    """The model with heads off, as `trace(…, ablate=…)` runs it; scope `all` is `mechdyn.improve.output_scales`' with scales of 0.

    Over a given text (`log_probs`) every position is a step, and heads that retrieve are those that retrieve the token that comes next.
    """

    def __init__(
        self,
        model: Model,
        ablate: Ablate,
        name: str = "ablated",
        *,
        retrieving: Retrieving | None = None,
        engine: str | Engine = "auto",
    ) -> None:
        ablation = as_ablation(ablate)
        if ablation is None:
            raise InputError("no heads are named to be switched off; take Plain(model) for the model as it is")
        if ablation.scope == "all":
            raise InputError('a variant with heads off takes the scopes position and decode, got "all"; take Scaled with scales of 0')
        self.model, self.name, self._ablation, self._retrieving = model, name, ablation, retrieving or Retrieving()
        self._engine = make_engine(model, engine)

    def answers(self, samples: Sequence[Sample], *, max_new_tokens: int | None = None) -> list[Answer]:
        return answer_samples(self.model, samples, self._begin, max_new_tokens)

    def log_probs(self, tokens: Int[Tensor, " pos"]) -> Float[Tensor, "pos vocab"]:
        return forced_log_probs(tokens, self._begin)

    def _begin(self, samples: Sequence[Sample]) -> "AblatedSteps":
        state = read_prompts(self._engine, samples)
        heads = ChosenHeads(self.model, self._ablation, self._retrieving, samples, state)
        return AblatedSteps(self._engine, state, heads, self._ablation)


class AblatedSteps:
    """An observing forward, then one without the heads that it chose; where they are known and its keys are kept, that one alone."""

    def __init__(self, engine: Engine, state: DecodeState, heads: ChosenHeads, ablation: Ablation) -> None:
        self._engine, self._state, self._heads, self._ablation = engine, state, heads, ablation

    def step(self, tokens: Int[Tensor, " row"], given: Int[Tensor, " row"] | None = None) -> Float[Tensor, "row vocab"]:
        self._heads.feed(tokens)
        keeps = self._ablation.commit == "ablated"
        if self._heads.known and keeps:
            output, self._state = self._engine.step(self._state, tokens, self._heads.edit(None, None))
            return output.logits
        observed, clean = self._engine.step(self._state, tokens)
        edit = self._heads.edit(observed, observed.logits.argmax(dim=-1) if given is None else given)
        if edit is None:
            self._state = clean
            return observed.logits
        edited, dirty = self._engine.step(self._state, tokens, edit, observed)
        self._state = dirty if keeps else clean
        off = edit.mask.flatten(1).any(dim=1).to(edited.logits.device)
        return torch.where(off[:, None], edited.logits, observed.logits)

    def select(self, rows: Sequence[int]) -> None:
        self._state = self._engine.fork(self._state, rows)
        self._heads.select(rows)

    def positions(self, n_prompt: int, n_new: int) -> int:
        return n_prompt + n_new


def read_prompts(engine: Engine, samples: Sequence[Sample]) -> DecodeState:
    """The state behind the prompts, all but their last tokens."""
    return engine.prefill([sample.tokens[:-1] for sample in samples])
