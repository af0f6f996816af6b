"""Token and needle at every key position of a batch: what scores are computed against."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from mechdyn.decoding.engine import DecodeState, StepOutput
from mechdyn.errors import UnsupportedModelError
from mechdyn.scores import Score, StepContext
from mechdyn.tasks.sample import Sample


@dataclass(frozen=True, eq=False)
class KeyContext:
    """Padding included, where the attention rows are. Room for the tokens to come is laid out at once.

    `append` writes into it, so go on from the newest context only.
    """

    _tokens: Int[Tensor, "row room"]
    _needle: Bool[Tensor, "row room"]
    _visible: Bool[Tensor, "row room"]
    n_keys: int

    @classmethod
    def of(cls, samples: Sequence[Sample], state: DecodeState, n_new: int) -> "KeyContext":
        """The prompts where the engine laid them, all but their last token, and room for `n_new` tokens."""
        visible = pad(state.prompt_visible.cpu().bool(), (0, n_new), value=True)
        tokens, needle = torch.zeros_like(visible, dtype=torch.long), torch.zeros_like(visible)
        n_keys = state.prompt_visible.shape[1]
        for row, sample in enumerate(samples):
            places = visible[row, : n_keys + 1].nonzero().flatten()
            tokens[row, places] = sample.tokens
            needle[row, places] = sample.needle_mask
        device = state.prompt_visible.device
        return cls(tokens.to(device), needle.to(device), visible.to(device), n_keys)

    def append(self, tokens: Int[Tensor, " row"]) -> "KeyContext":
        """One more key position in every row; none but a prompt's own tokens are needle."""
        self._tokens[:, self.n_keys] = tokens
        return replace(self, n_keys=self.n_keys + 1)

    def select(self, rows: list[int]) -> "KeyContext":
        """Some of the rows."""
        return KeyContext(self._tokens[rows], self._needle[rows], self._visible[rows], self.n_keys)

    @property
    def tokens(self) -> Int[Tensor, "row key"]:
        return self._tokens[:, : self.n_keys]

    @property
    def visible(self) -> Bool[Tensor, "row key"]:
        return self._visible[:, : self.n_keys]

    def at_step(self, predicted: Int[Tensor, " row"], device: torch.device) -> StepContext:
        """What a score sees, on the device of a layer."""
        needle = self._needle[:, : self.n_keys]
        return StepContext(*(part.to(device) for part in (self.tokens, needle, self.visible, predicted)))


def score_step(output: StepOutput, predicted: Int[Tensor, " row"], context: KeyContext, score: Score) -> Float[Tensor, "row layer head"]:
    """Every head's score at one step, on the CPU."""
    n_keys = output.patterns[0].shape[-1]
    if n_keys != context.n_keys:
        raise UnsupportedModelError(
            f"attention runs over {n_keys} of {context.n_keys} positions: the model forgets keys (a sliding window?)"
        )
    devices = {pattern.device for pattern in output.patterns}
    steps = {device: context.at_step(predicted, device) for device in devices}
    scores = [score(pattern, steps[pattern.device]) for pattern in output.patterns]
    return torch.stack([layer.to(scores[0].device) for layer in scores], dim=1).float().cpu()
