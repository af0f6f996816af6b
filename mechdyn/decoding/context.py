"""Token and needle at every key position of a batch: what scores are computed against."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechdyn.decoding.engine import DecodeState, StepOutput
from mechdyn.errors import UnsupportedModelError
from mechdyn.scores import Score, StepContext
from mechdyn.tasks.sample import Sample


@dataclass(frozen=True, eq=False)
class KeyContext:
    """Padding included, on the CPU; grows by one fed token a step."""

    tokens: Int[Tensor, "row key"]
    needle: Bool[Tensor, "row key"]
    visible: Bool[Tensor, "row key"]

    @classmethod
    def of(cls, samples: Sequence[Sample], state: DecodeState) -> "KeyContext":
        """The prompts without their last token, where the engine laid them."""
        visible = state.visible.cpu().bool()
        tokens, needle = torch.zeros_like(visible, dtype=torch.long), torch.zeros_like(visible)
        for row, sample in enumerate(samples):
            tokens[row, visible[row]] = sample.tokens[:-1]
            needle[row, visible[row]] = sample.needle_mask[:-1]
        return cls(tokens, needle, visible)

    def append(self, tokens: Int[Tensor, " row"], needle: Bool[Tensor, " row"]) -> "KeyContext":
        """One more key position in every row."""
        visible = torch.ones_like(needle)
        columns = ((self.tokens, tokens), (self.needle, needle), (self.visible, visible))
        return KeyContext(*(torch.cat([whole, column[:, None]], dim=1) for whole, column in columns))

    def select(self, rows: list[int]) -> "KeyContext":
        """Some of the rows."""
        return KeyContext(self.tokens[rows], self.needle[rows], self.visible[rows])


def score_step(output: StepOutput, predicted: Int[Tensor, " row"], context: KeyContext, score: Score) -> Float[Tensor, "row layer head"]:
    """Every head's score at one step, on the CPU."""
    device = output.patterns[0].device
    n_keys, n_seen = output.patterns[0].shape[-1], context.tokens.shape[1]
    if n_keys != n_seen:
        raise UnsupportedModelError(f"attention runs over {n_keys} of {n_seen} positions: the model forgets keys (a sliding window?)")
    step = StepContext(context.tokens.to(device), context.needle.to(device), context.visible.to(device), predicted.to(device))
    return torch.stack([score(pattern, step) for pattern in output.patterns], dim=1).float().cpu()
