"""The standard engine: decode steps of a TransformerBridge with a key-value cache."""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from mechdyn.decoding.cache import fork_rows, shallow_copy
from mechdyn.decoding.capture import Capture, edit_hooks
from mechdyn.decoding.engine import DecodeState, HeadEdit, StepOutput
from mechdyn.decoding.prefill import prefill
from mechdyn.errors import InputError
from mechdyn.models.model import Model


class BridgeEngine:
    """Prefill through the sdpa twin, then one hooked forward a step.

    `hidden` chooses the final hidden state: `final` is the output of the last norm, `residual` the stream before it.
    """

    def __init__(self, model: Model, hidden: str = "final") -> None:
        self.model = model
        self._hidden_hook = hidden_hook(model, hidden)

    def prefill(self, prompts: Sequence[Int[Tensor, " _"]], positions: Sequence[Int[Tensor, " _"]] | None = None) -> DecodeState:
        return prefill(self.model, prompts, positions)

    def fork(self, state: DecodeState, rows: Sequence[int]) -> DecodeState:
        return fork_rows(state, rows)

    @torch.inference_mode()
    def step(self, state: DecodeState, tokens: Int[Tensor, " row"], edit: HeadEdit | None = None) -> tuple[StepOutput, DecodeState]:
        if edit is not None and edit.whole:
            raise ValueError("an engine with a cache cannot edit past positions; use ReferenceEngine")
        model, capture = self.model, Capture()
        visible = torch.cat([state.visible, torch.ones_like(state.visible[:, :1])], dim=1)
        hooks = capture.hooks(model.n_layers, self._hidden_hook) + (edit_hooks(edit) if edit is not None else [])
        with model.bridge.hooks(fwd_hooks=hooks):
            logits, memory = model.bridge(
                tokens[:, None].to(model.device),
                past_key_values=shallow_copy(state.memory),
                attention_mask=visible,
                position_ids=state.next_position[:, None],
                use_cache=True,
                return_type="logits_and_cache",
            )
        patterns = tuple(capture.patterns[layer] for layer in range(model.n_layers))
        return StepOutput(logits[:, -1], patterns, capture.hidden), DecodeState(memory, visible, state.next_position + 1)


def hidden_hook(model: Model, hidden: str) -> str:
    """The hook behind a choice of final hidden state (DEFINITIONS, Steps)."""
    hooks = {"final": "ln_final.hook_out", "residual": f"blocks.{model.n_layers - 1}.hook_resid_post"}
    if hidden not in hooks:
        raise InputError(f"hidden must be one of {', '.join(hooks)}, got {hidden!r}")
    return hooks[hidden]
