"""Reading what stands behind a token while it is generated (`mechdyn.traces.backing`)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechdyn.decoding.context import KeyContext
from mechdyn.decoding.engine import StepOutput
from mechdyn.errors import InputError
from mechdyn.heads import Head
from mechdyn.scores.copy_paste import copy_paste
from mechdyn.scores.score import StepContext
from mechdyn.tasks.chat import context_positions
from mechdyn.tasks.sample import Sample
from mechdyn.traces.backing import Backing, rounded

StepBacking = tuple[Float[Tensor, " number"], Float[Tensor, " head"], Bool[Tensor, " head"]]
"""One row's step: entropy, max p and margin; mass of each head; whether it copies."""


@dataclass(frozen=True, eq=False)
class BackingReader:
    """Reads some heads at every step of a batch; `in_context` says where each row's keys are tokens of its context."""

    heads: tuple[Head, ...]
    in_context: Bool[Tensor, "row room"]

    @classmethod
    def of(cls, heads: Sequence[Head], samples: Sequence[Sample], tokenizer: object, context: KeyContext) -> "BackingReader":
        """For samples whose prompts, all but the last token, `context` has laid out.

        Raises:
            InputError: a sample whose context cannot be found in its prompt.
        """
        visible = context.room.cpu()
        in_context = torch.zeros_like(visible)
        for row, sample in enumerate(samples):
            places = visible[row].nonzero().flatten()
            in_context[row, places[context_positions(tokenizer, sample)]] = True
        return cls(tuple(heads), in_context.to(context.room.device))

    def select(self, rows: list[int]) -> "BackingReader":
        """Some of the rows."""
        return replace(self, in_context=self.in_context[torch.tensor(rows)])

    def read(self, observed: StepOutput, predicted: Int[Tensor, " row"], context: KeyContext) -> list[StepBacking]:
        """Each row's backing of the token that the step predicts, on the CPU."""
        numbers = rounded(_distribution(observed.logits.float()).cpu())
        where = StepContext(context.tokens, self.in_context[:, : context.n_keys], context.visible, predicted.to(context.tokens.device))
        mass = torch.zeros(len(numbers), len(self.heads))
        copies = torch.zeros(len(numbers), len(self.heads), dtype=torch.bool)
        for layer in sorted({head.layer for head in self.heads}):
            columns = [column for column, head in enumerate(self.heads) if head.layer == layer]
            pattern = observed.patterns[layer][:, [self.heads[column].head for column in columns]]
            here = _on(where, pattern.device)
            alike = here.needle & (here.tokens == here.predicted[:, None])
            mass[:, columns] = torch.where(alike[:, None], pattern.float(), 0.0).sum(dim=-1).cpu()
            copies[:, columns] = (copy_paste(pattern, here) > 0).cpu()
        return list(zip(numbers, rounded(mass), copies, strict=True))


def as_backing(heads: Sequence[Head], steps: Sequence[StepBacking]) -> Backing:
    """The steps of one answer."""
    if not steps:
        none = torch.zeros(0)
        return Backing(tuple(heads), none, none, none, torch.zeros(0, len(heads)), torch.zeros(0, len(heads), dtype=torch.bool))
    numbers, mass, copies = (torch.stack(column) for column in zip(*steps, strict=True))
    entropy, max_p, margin = numbers.unbind(dim=1)
    return Backing(tuple(heads), entropy, max_p, margin, mass, copies)


def check_backing(heads: Sequence[Head], n_layers: int, n_heads: int) -> None:
    """Refuse heads that the model does not have."""
    outside = [head for head in heads if not (head.layer < n_layers and head.head < n_heads)]
    if outside:
        raise InputError(f"backing is read at heads of the model's {n_layers} layers x {n_heads} heads, got {outside[0]}")


def _distribution(logits: Float[Tensor, "row vocab"]) -> Float[Tensor, "row 3"]:
    """Entropy, max p and margin."""
    log_p = logits.log_softmax(dim=-1)
    entropy = -(log_p.exp() * log_p).nan_to_num(0.0).sum(dim=-1)
    first, second = log_p.topk(2, dim=-1).values.exp().unbind(dim=-1)
    return torch.stack([entropy, first, first - second], dim=-1)


def _on(where: StepContext, device: torch.device) -> StepContext:
    """Layers may lie on several devices."""
    if where.tokens.device == device:
        return where
    return StepContext(where.tokens.to(device), where.needle.to(device), where.visible.to(device), where.predicted.to(device))
