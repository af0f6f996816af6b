"""Token, needle and single sentences at every key position of a batch: what scores are computed against."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechdyn.decoding.engine import DecodeState, StepOutput
from mechdyn.errors import UnsupportedModelError
from mechdyn.scores import Score, StepContext
from mechdyn.tasks.sample import Sample


@dataclass(frozen=True, eq=False)
class KeyContext:
    """Padding included, on the CPU; grows by one fed token a step.

    `sentences` are the tokens of each sentence that is scored by itself; rows with fewer sentences than others have empty ones.
    """

    tokens: Int[Tensor, "row key"]
    needle: Bool[Tensor, "row key"]
    visible: Bool[Tensor, "row key"]
    sentences: Bool[Tensor, "row sentence key"]

    @classmethod
    def of(cls, samples: Sequence[Sample], state: DecodeState) -> "KeyContext":
        """The prompts without their last token, where the engine laid them."""
        visible = state.visible.cpu().bool()
        tokens, needle = torch.zeros_like(visible, dtype=torch.long), torch.zeros_like(visible)
        masks = [sample.sentence_masks for sample in samples]
        sentences = torch.zeros(len(samples), max(len(mask) for mask in masks), visible.shape[1], dtype=torch.bool)
        for row, sample in enumerate(samples):
            tokens[row, visible[row]] = sample.tokens[:-1]
            needle[row, visible[row]] = sample.needle_mask[:-1]
            sentences[row][: len(masks[row]), visible[row]] = masks[row][:, :-1]
        return cls(tokens, needle, visible, sentences)

    def append(self, tokens: Int[Tensor, " row"], needle: Bool[Tensor, " row"]) -> "KeyContext":
        """One more key position in every row; behind the sentences, which lie in the context."""
        visible, sentence = torch.ones_like(needle), self.sentences.new_zeros(self.sentences.shape[:2])
        columns = ((self.tokens, tokens), (self.needle, needle), (self.visible, visible), (self.sentences, sentence))
        return KeyContext(*(torch.cat([whole, column[..., None]], dim=-1) for whole, column in columns))

    def select(self, rows: list[int]) -> "KeyContext":
        """Some of the rows."""
        return KeyContext(self.tokens[rows], self.needle[rows], self.visible[rows], self.sentences[rows])


def score_step(output: StepOutput, predicted: Int[Tensor, " row"], context: KeyContext, score: Score) -> Float[Tensor, "row layer head"]:
    """Every head's score at one step, on the CPU."""
    n_keys, n_seen = output.patterns[0].shape[-1], context.tokens.shape[1]
    if n_keys != n_seen:
        raise UnsupportedModelError(f"attention runs over {n_keys} of {n_seen} positions: the model forgets keys (a sliding window?)")
    step = StepContext(context.tokens, context.needle, context.visible, predicted)
    return torch.stack(_layer_scores(output.patterns, step, score), dim=1).float().cpu()


def score_sentences(output: StepOutput, predicted: Int[Tensor, " row"], context: KeyContext, score: Score) -> Float[Tensor, "row sentence"]:
    """The highest score that any head has for each sentence, that sentence alone being the needle; on the CPU.

    With Eq. 2 the highest share of attention that any head pays to it. Empty sentences have 0.
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
    repeated = tuple(repeat(pattern, "row head key -> (row sentence) head key", sentence=n_sentences) for pattern in output.patterns)
    layers = [scores.amax(dim=1) for scores in _layer_scores(repeated, step, score)]
    highest = torch.stack(layers).amax(dim=0).float().cpu()
    return rearrange(highest, "(row sentence) -> row sentence", sentence=n_sentences)


def _layer_scores(patterns: Sequence[Float[Tensor, "row head key"]], step: StepContext, score: Score) -> list[Float[Tensor, "row head"]]:
    """Each layer's scores, computed where its attention rows lie (a model may be spread over devices) and sent to where the first's do."""
    steps = {
        device: StepContext(*(tensor.to(device) for tensor in (step.tokens, step.needle, step.visible, step.predicted)))
        for device in {pattern.device for pattern in patterns}
    }
    home = patterns[0].device
    return [score(pattern, steps[pattern.device]).to(home) for pattern in patterns]
