"""Token, needle and single sentences at every key position of a batch: what scores are computed against."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from mechdyn.decoding.engine import DecodeState, StepOutput
from mechdyn.errors import UnsupportedModelError
from mechdyn.scores.score import Score, StepContext
from mechdyn.tasks.sample import Sample

ByLayer = Callable[[int], Float[Tensor, "row head key"]]
_TOGETHER = 1 << 20
"""Weights that are scored at once: few enough for a copy of them to be nothing."""


@dataclass(frozen=True, eq=False)
class KeyContext:
    """Padding included, where the attention rows are. Room for the tokens to come is laid out at once.

    `sentences` are the tokens of each sentence that is scored by itself; rows with fewer sentences than others have empty ones. `append`
    writes into the room, so go on from the newest context only.
    """

    _tokens: Int[Tensor, "row room"]
    _needle: Bool[Tensor, "row room"]
    _visible: Bool[Tensor, "row room"]
    _sentences: Bool[Tensor, "row sentence room"]
    n_keys: int

    @classmethod
    def of(cls, samples: Sequence[Sample], state: DecodeState, n_new: int) -> "KeyContext":
        """The prompts where the engine laid them, all but their last token, and room for `n_new` tokens."""
        visible = pad(state.prompt_visible.cpu().bool(), (0, n_new), value=True)
        tokens, needle = torch.zeros_like(visible, dtype=torch.long), torch.zeros_like(visible)
        masks = [sample.sentence_masks for sample in samples]
        sentences = torch.zeros(len(samples), max(len(mask) for mask in masks), visible.shape[1], dtype=torch.bool)
        n_keys = state.prompt_visible.shape[1]
        for row, sample in enumerate(samples):
            places = visible[row, : n_keys + 1].nonzero().flatten()
            tokens[row, places] = sample.tokens
            needle[row, places] = sample.needle_mask
            sentences[row, : len(masks[row]), places] = masks[row]
        device = state.prompt_visible.device
        return cls(tokens.to(device), needle.to(device), visible.to(device), sentences.to(device), n_keys)

    def append(self, tokens: Int[Tensor, " row"]) -> "KeyContext":
        """One more key position in every row; needle and sentences lie in the prompt."""
        self._tokens[:, self.n_keys] = tokens
        return replace(self, n_keys=self.n_keys + 1)

    def select(self, rows: list[int]) -> "KeyContext":
        """Some of the rows."""
        index = torch.tensor(rows)
        return KeyContext(self._tokens[index], self._needle[index], self._visible[index], self._sentences[index], self.n_keys)

    @property
    def room(self) -> Bool[Tensor, "row room"]:
        """Where each row has a token or will have one."""
        return self._visible

    @property
    def tokens(self) -> Int[Tensor, "row key"]:
        return self._tokens[:, : self.n_keys]

    @property
    def needle(self) -> Bool[Tensor, "row key"]:
        return self._needle[:, : self.n_keys]

    @property
    def visible(self) -> Bool[Tensor, "row key"]:
        return self._visible[:, : self.n_keys]

    @property
    def sentences(self) -> Bool[Tensor, "row sentence key"]:
        return self._sentences[..., : self.n_keys]


def score_step(output: StepOutput, predicted: Int[Tensor, " row"], context: KeyContext, score: Score) -> Float[Tensor, "row layer head"]:
    """Every head's score at one step, on the CPU."""
    n_keys = output.patterns[0].shape[-1]
    if n_keys != context.n_keys:
        raise UnsupportedModelError(
            f"attention runs over {n_keys} of {context.n_keys} positions; an engine gives rows of all keys, those forgotten with weight 0"
        )
    step = StepContext(context.tokens, context.needle, context.visible, predicted)
    return torch.stack(_by_layer(output.patterns, step, score, _writes(output, predicted)), dim=1).float().cpu()


def score_sentences(output: StepOutput, predicted: Int[Tensor, " row"], context: KeyContext, score: Score) -> Float[Tensor, "row sentence"]:
    """The highest score that any head has for each sentence, that sentence alone being the needle; on the CPU.

    With Eq. 2 the highest share of attention that any head pays to it. Empty sentences have 0, whatever the score makes of no needle.
    """
    n_rows, n_sentences, _ = context.sentences.shape
    if n_sentences == 0:
        return torch.zeros(n_rows, 0)
    step = StepContext(
        tokens=repeat(context.tokens, "row key -> (row sentence) key", sentence=n_sentences),
        needle=rearrange(context.sentences, "row sentence key -> (row sentence) key"),
        visible=repeat(context.visible, "row key -> (row sentence) key", sentence=n_sentences),
        predicted=repeat(predicted, "row -> (row sentence)", sentence=n_sentences),
    )
    patterns = (repeat(pattern, "row head key -> (row sentence) head key", sentence=n_sentences) for pattern in output.patterns)
    highest = torch.stack(_by_layer(patterns, step, score, _writes(output, predicted, n_sentences))).amax(dim=(0, 2)).float().cpu()
    some = context.sentences.any(dim=-1).cpu()
    return rearrange(highest, "(row sentence) -> row sentence", sentence=n_sentences).where(some, torch.tensor(0.0))


def _writes(output: StepOutput, predicted: Int[Tensor, " row"], n_copies: int = 1) -> ByLayer | None:
    """What the heads of a layer write for the predicted token, every row `n_copies` times; None where the engine does not tell."""
    tell = output.writes
    if tell is None:
        return None
    return lambda layer: repeat(tell(layer, predicted), "row head key -> (row copy) head key", copy=n_copies)


def _by_layer(
    patterns: Iterable[Float[Tensor, "row head key"]], step: StepContext, score: Score, writes: ByLayer | None
) -> list[Float[Tensor, "row head"]]:
    """Scores of each layer, all on the first one's device; layers may lie on several.

    A score is asked of some layers at once, as rows beside each other: short rows cost more in calls than in numbers.
    """
    scores: list[Tensor] = []
    layers = list(enumerate(patterns))
    while layers:
        first = layers[0][1]
        most = max(1, _TOGETHER // max(first.numel(), 1))
        alike = (n for n, (_, each) in enumerate(layers) if each.shape != first.shape or each.device != first.device)
        some = layers[: min(most, next(alike, len(layers)))]
        layers = layers[len(some) :]
        found = score(torch.cat([pattern for _, pattern in some]), _beside(step, [layer for layer, _ in some], first.device, writes))
        scores += found.to(scores[0].device if scores else found.device).split(len(first))
    return scores


def _beside(step: StepContext, layers: Sequence[int], device: torch.device, writes: ByLayer | None) -> StepContext:
    """The context of the rows of some layers, one layer's behind the other's."""
    tokens, needle, visible, predicted = (part.to(device) for part in (step.tokens, step.needle, step.visible, step.predicted))
    n = len(layers)
    beside = StepContext(tokens.repeat(n, 1), needle.repeat(n, 1), visible.repeat(n, 1), predicted.repeat(n))
    return beside if writes is None else replace(beside, writes=lambda: torch.cat([writes(layer) for layer in layers]))
