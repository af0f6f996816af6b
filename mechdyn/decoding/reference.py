"""The reference engine: the whole sequence through the hooked model at every step, no cache. Slow, short, and hard to get wrong."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from mechdyn.decoding.capture import Capture, edit_hooks, hidden_hook
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
        index = list(rows)
        memory = tuple(part[index] for part in state.memory)
        return DecodeState(memory, state.prompt_visible[index], state.next_position[index], state.n_fed)

    @torch.inference_mode()
    def step(
        self, state: DecodeState, tokens: Int[Tensor, " row"], edit: HeadEdit | None = None, observed: StepOutput | None = None
    ) -> tuple[StepOutput, DecodeState]:
        model, capture = self.model, Capture()
        sequence = torch.cat([state.memory[0], tokens[:, None].cpu()], dim=1)
        positions = torch.cat([state.memory[1], state.next_position[:, None]], dim=1)
        after = replace(state, memory=(sequence, positions), next_position=state.next_position + 1, n_fed=state.n_fed + 1)
        hooks = capture.hooks(model.n_layers, self._hidden_hook) + (edit_hooks(edit) if edit is not None else [])
        logits = model.bridge.run_with_hooks(
            sequence.to(model.device),
            fwd_hooks=hooks,
            attention_mask=after.visible.to(model.device),
            position_ids=positions.to(model.device),
            return_type="logits",
        )
        patterns = tuple(capture.patterns[layer] for layer in range(model.n_layers))
        return StepOutput(logits[:, -1], patterns, capture.hidden), after
