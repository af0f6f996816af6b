"""RetMask's second stage, its answers: seeded sampling at a temperature, each prompt by itself whatever its batch."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechdyn.decoding.engines import make_engine
from mechdyn.errors import InputError
from mechdyn.hashing import content_hash
from mechdyn.improve.plain import PlainSteps, read_prompts
from mechdyn.improve.stepping import DecodingSteps, answer_samples
from mechdyn.improve.variant import Answer
from mechdyn.models.model import Model
from mechdyn.tasks.sample import Sample


@dataclass(frozen=True)
class Sampling:
    """How answers are drawn; the published settings are temperature 0.6, top-p 1 and 2048 tokens (Qwen: 4096).

    Attributes:
        temperature: logits are divided by it before the softmax; 0 is greedy.
        max_new_tokens: an answer ends here at the latest.
        seed: draws the noise, with the prompt's key and the model's role.
    """

    temperature: float = 0.6
    max_new_tokens: int = 2048
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise InputError(f"the temperature is 0 (greedy) or more, got {self.temperature}; published is 0.6")
        if self.max_new_tokens < 1:
            raise InputError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def sampled_answers(model: Model, prompts: Sequence[Sample], sampling: Sampling, role: str) -> list[Answer]:
    """An answer to each prompt, in order, generated as one batch.

    At each step the token is argmax(logits / T + g) with g drawn from the standard Gumbel distribution, which is a draw from
    softmax(logits / T). The noise of a row comes from a generator of its own, seeded by the sampling's seed, the prompt and `role`, so that
    an answer does not depend on what else is in the batch, and two roles draw independently.
    """
    engine = make_engine(model, "auto")

    def begin(samples: Sequence[Sample]) -> DecodingSteps:
        steps = PlainSteps(engine, read_prompts(engine, samples))
        return steps if sampling.temperature == 0 else _NoisySteps(steps, sampling, [_generator(each, sampling, role) for each in samples])

    return answer_samples(model, prompts, begin, sampling.max_new_tokens)


class _NoisySteps:
    """Another rule's steps, with noise on their logits: the likeliest token is then one drawn at random."""

    def __init__(self, steps: PlainSteps, sampling: Sampling, generators: list[torch.Generator]) -> None:
        self._steps, self._temperature, self._generators = steps, sampling.temperature, generators

    def step(self, tokens: Int[Tensor, " row"], given: Int[Tensor, " row"] | None = None) -> Float[Tensor, "row vocab"]:
        logits = self._steps.step(tokens, given).float().cpu()
        return logits / self._temperature + torch.stack([gumbel(logits.shape[1], generator) for generator in self._generators])

    def select(self, rows: Sequence[int]) -> None:
        self._steps.select(rows)
        self._generators = [self._generators[row] for row in rows]

    def positions(self, n_prompt: int, n_new: int) -> int:
        return self._steps.positions(n_prompt, n_new)


def gumbel(n: int, generator: torch.Generator) -> Float[Tensor, " vocab"]:
    """Draws from the standard Gumbel distribution: −log E, E being exponential."""
    return -torch.empty(n).exponential_(generator=generator).log()


def _generator(sample: Sample, sampling: Sampling, role: str) -> torch.Generator:
    return torch.Generator().manual_seed(int(content_hash([sampling.seed, sample.key, role]), 16) % (1 << 63))
