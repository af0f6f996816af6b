"""The reference engine: the whole sequence through the hooked model at every step, no cache. Slow, short, and hard to get wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from mechdyn.decoding.capture import Capture, Sight, edit_hooks, hidden_hook, mask_and_windows
from mechdyn.decoding.engine import DecodeState, HeadEdit, StepOutput
from mechdyn.decoding.prefill import behind, check_positions, going_on, left_pad
from mechdyn.decoding.writes import Writes, read_along
from mechdyn.models.model import Model


@dataclass(frozen=True, eq=False)
class Sequences:
    """The tokens so far, and the edits of past steps by column: what they left in keys and values stays in force."""

    tokens: Int[Tensor, "row pos"]
    edits: tuple[tuple[int, HeadEdit], ...] = ()

    def select(self, rows: list[int]) -> "Sequences":
        return Sequences(self.tokens[rows], tuple((column, edit.select(rows)) for column, edit in self.edits))


class ReferenceEngine:
    """What `BridgeEngine` must agree with."""

    def __init__(self, model: Model, hidden: str = "final") -> None:
        self.model = model
        self._hidden_hook = hidden_hook(model, hidden)

    def prefill(
        self, prompts: Sequence[Int[Tensor, " _"]], positions: Sequence[Int[Tensor, " _"]] | None = None, *, apart: bool = False
    ) -> DecodeState:
        positions = check_positions(prompts, positions)
        tokens, visible = left_pad(prompts)
        return DecodeState(Sequences(tokens), visible, left_pad(positions)[0], behind(positions))

    def extend(self, state: DecodeState, tokens: Sequence[Int[Tensor, " _"]], *, keep: int = 0) -> DecodeState:
        past, (more, more_visible) = state.memory, left_pad(tokens)
        positions, next_position = going_on(state.next_position, more_visible)
        memory = Sequences(torch.cat([past.tokens, more], dim=1), past.edits)
        laid = torch.cat([state.positions, positions], dim=1)
        return DecodeState(memory, torch.cat([state.visible, more_visible], dim=1), laid, next_position)

    def fork(self, state: DecodeState, rows: Sequence[int], *, passing: bool = False) -> DecodeState:
        return state.select(state.memory.select(list(rows)), rows)

    @torch.inference_mode()
    def step(
        self, state: DecodeState, tokens: Int[Tensor, " row"], edit: HeadEdit | None = None, observed: StepOutput | None = None
    ) -> tuple[StepOutput, DecodeState]:
        state.require_whole()
        model, capture, past = self.model, Capture(), state.memory
        sequence = torch.cat([past.tokens, tokens[:, None].cpu()], dim=1)
        edits = past.edits if edit is None else (*past.edits, (sequence.shape[1] - 1, edit))
        # An edit of all positions is one forward's alone: the next one may edit others.
        kept = edits if edit is None or not edit.whole else past.edits
        after = state.fed(Sequences(sequence, kept))
        positions = after.positions.to(model.device)
        sight = Sight(model.windows, after.visible.to(model.device), positions, positions)
        mask, forgetting = mask_and_windows(model, sight)
        hooks = forgetting + capture.hooks(model.n_layers, self._hidden_hook) + capture.value_hooks(model)
        logits = model.bridge.run_with_hooks(
            sequence.to(model.device),
            fwd_hooks=hooks + [hook for column, each in edits for hook in edit_hooks(each, sight, column)],
            attention_mask=mask,
            position_ids=positions,
            return_type="logits",
        )
        patterns = tuple(capture.patterns[layer] for layer in range(model.n_layers))
        writes = Writes(model, lambda layer, directions: read_along(capture.values[layer], directions)) if capture.values else None
        return StepOutput(logits[:, -1], patterns, capture.hidden, writes=writes), after
