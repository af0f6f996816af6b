"""The reference engine: the whole sequence through the hooked model at every step, no cache. Slow, short, and hard to get wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from mechdyn.decoding.bridge_engine import hidden_hook
from mechdyn.decoding.capture import Capture, edit_hooks
from mechdyn.decoding.engine import DecodeState, HeadEdit, StepOutput
from mechdyn.decoding.prefill import behind, check_positions, left_pad
from mechdyn.models.model import Model


@dataclass(frozen=True, eq=False)
class Sequences:
    """The tokens so far, their position ids, and the edits of past steps by column: what they left in keys and values stays in force."""

    tokens: Int[Tensor, "row pos"]
    positions: Int[Tensor, "row pos"]
    edits: tuple[tuple[int, HeadEdit], ...] = ()

    def select(self, rows: Int[Tensor, " chosen"]) -> "Sequences":
        edits = ((column, HeadEdit(edit.mask[rows], None if edit.values is None else edit.values[rows])) for column, edit in self.edits)
        return Sequences(self.tokens[rows], self.positions[rows], tuple(edits))


class ReferenceEngine:
    """What `BridgeEngine` must agree with."""

    def __init__(self, model: Model, hidden: str = "final") -> None:
        self.model = model
        self._hidden_hook = hidden_hook(model, hidden)

    def prefill(self, prompts: Sequence[Int[Tensor, " _"]], positions: Sequence[Int[Tensor, " _"]] | None = None) -> DecodeState:
        positions = check_positions(prompts, positions)
        tokens, visible = left_pad(prompts)
        return DecodeState(Sequences(tokens, left_pad(positions)[0]), visible, behind(positions))

    def fork(self, state: DecodeState, rows: Sequence[int]) -> DecodeState:
        index = torch.tensor(list(rows))
        return DecodeState(state.memory.select(index), state.visible[index], state.next_position[index])

    @torch.inference_mode()
    def step(self, state: DecodeState, tokens: Int[Tensor, " row"], edit: HeadEdit | None = None) -> tuple[StepOutput, DecodeState]:
        model, capture, past = self.model, Capture(), state.memory
        sequence = torch.cat([past.tokens, tokens[:, None].cpu()], dim=1)
        positions = torch.cat([past.positions, state.next_position[:, None]], dim=1)
        visible = torch.cat([state.visible, torch.ones_like(state.visible[:, :1])], dim=1)
        edits = past.edits if edit is None else (*past.edits, (sequence.shape[1] - 1, edit))
        hooks = capture.hooks(model.n_layers, self._hidden_hook)
        logits = model.bridge.run_with_hooks(
            sequence.to(model.device),
            fwd_hooks=hooks + [hook for column, each in edits for hook in edit_hooks(each, column)],
            attention_mask=visible.to(model.device),
            position_ids=positions.to(model.device),
            return_type="logits",
        )
        patterns = tuple(capture.patterns[layer] for layer in range(model.n_layers))
        # An edit of all positions is one forward's alone: the next one may edit others.
        kept = edits if edit is None or not edit.whole else past.edits
        memory = Sequences(sequence, positions, kept)
        return StepOutput(logits[:, -1], patterns, capture.hidden), DecodeState(memory, visible, state.next_position + 1)
