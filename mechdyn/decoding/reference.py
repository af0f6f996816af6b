"""The reference engine: the whole sequence through the hooked model at every step, no cache. Slow, short, and hard to get wrong."""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from mechdyn.decoding.bridge_engine import hidden_hook
from mechdyn.decoding.capture import Capture, edit_hooks
from mechdyn.decoding.engine import DecodeState, HeadEdit, StepOutput
from mechdyn.decoding.prefill import behind, check_positions, left_pad
from mechdyn.models.model import Model


class ReferenceEngine:
    """What `BridgeEngine` must agree with. Its state is the tokens so far and their position ids."""

    def __init__(self, model: Model, hidden: str = "final") -> None:
        self.model = model
        self._hidden_hook = hidden_hook(model, hidden)

    def prefill(self, prompts: Sequence[Int[Tensor, " _"]], positions: Sequence[Int[Tensor, " _"]] | None = None) -> DecodeState:
        positions = check_positions(prompts, positions)
        tokens, visible = left_pad(prompts)
        return DecodeState((tokens, left_pad(positions)[0]), visible, behind(positions))

    def fork(self, state: DecodeState, rows: Sequence[int]) -> DecodeState:
        index = torch.tensor(list(rows))
        tokens, positions = state.memory
        return DecodeState((tokens[index], positions[index]), state.visible[index], state.next_position[index])

    @torch.inference_mode()
    def step(self, state: DecodeState, tokens: Int[Tensor, " row"], edit: HeadEdit | None = None) -> tuple[StepOutput, DecodeState]:
        model, capture = self.model, Capture()
        sequence = torch.cat([state.memory[0], tokens[:, None].cpu()], dim=1)
        positions = torch.cat([state.memory[1], state.next_position[:, None]], dim=1)
        visible = torch.cat([state.visible, torch.ones_like(state.visible[:, :1])], dim=1)
        hooks = capture.hooks(model.n_layers, self._hidden_hook) + (edit_hooks(edit) if edit is not None else [])
        logits = model.bridge.run_with_hooks(
            sequence.to(model.device),
            fwd_hooks=hooks,
            attention_mask=visible.to(model.device),
            position_ids=positions.to(model.device),
            return_type="logits",
        )
        patterns = tuple(capture.patterns[layer] for layer in range(model.n_layers))
        return StepOutput(logits[:, -1], patterns, capture.hidden), DecodeState((sequence, positions), visible, state.next_position + 1)
