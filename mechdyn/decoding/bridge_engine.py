"""The standard engine: decode steps of a TransformerBridge with a key-value cache."""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from mechdyn.decoding.cache import select_rows, shallow_copy, to_cache, to_prompts
from mechdyn.decoding.capture import Capture, Sight, edit_hooks, hidden_hook, mask_and_windows
from mechdyn.decoding.engine import DecodeState, HeadEdit, StepOutput
from mechdyn.decoding.prefill import Prefilled, extend, prefill
from mechdyn.decoding.writes import Writes, read_along
from mechdyn.models.model import Model


class BridgeEngine:
    """Prefill through the sdpa twin (through the bridge, where it carries hooks of the user's), then one hooked forward a step.

    `hidden` chooses the final hidden state: `final` is the output of the last norm, `residual` the stream before it. `chunk` is the number
    of tokens that prefill reads at a time.
    """

    def __init__(self, model: Model, hidden: str = "final", chunk: int | None = None) -> None:
        self.model, self.chunk = model, chunk
        self._hidden_hook = hidden_hook(model, hidden)

    def prefill(
        self, prompts: Sequence[Int[Tensor, " _"]], positions: Sequence[Int[Tensor, " _"]] | None = None, *, apart: bool = False
    ) -> DecodeState:
        found = prefill(self.model, prompts, positions, self.chunk, apart)
        return _state(found)

    def extend(self, state: DecodeState, tokens: Sequence[Int[Tensor, " _"]], *, keep: int = 0) -> DecodeState:
        if not any(len(row) for row in tokens):
            return state
        held = Prefilled(to_prompts(state.memory), state.visible, state.positions, state.next_position)
        return _state(extend(self.model, held, tokens, self.chunk, keep))

    def fork(self, state: DecodeState, rows: Sequence[int], *, passing: bool = False) -> DecodeState:
        return state.select(select_rows(state.memory, rows), rows)

    @torch.inference_mode()
    def step(
        self, state: DecodeState, tokens: Int[Tensor, " row"], edit: HeadEdit | None = None, observed: StepOutput | None = None
    ) -> tuple[StepOutput, DecodeState]:
        if edit is not None and edit.whole:
            raise ValueError("an engine with a cache cannot edit past positions; use ReferenceEngine")
        state.require_whole()
        model, capture = self.model, Capture()
        after = state.fed(shallow_copy(state.memory))
        sight = Sight(model.windows, after.visible, after.positions, state.next_position[:, None])
        mask, forgetting = mask_and_windows(model, sight)
        hooks = forgetting + capture.hooks(model.n_layers, self._hidden_hook) + (edit_hooks(edit, sight) if edit is not None else [])
        with model.bridge.hooks(fwd_hooks=hooks):
            logits, _ = model.bridge(
                tokens[:, None].to(model.device),
                past_key_values=after.memory,
                attention_mask=mask,
                position_ids=state.next_position[:, None],
                use_cache=True,
                return_type="logits_and_cache",
            )
        patterns = tuple(capture.patterns[layer] for layer in range(model.n_layers))
        writes = Writes(model, lambda layer, directions: read_along(after.memory.layers[layer].values, directions))
        return StepOutput(logits[:, -1], patterns, capture.hidden, writes=writes), after


def _state(found: Prefilled) -> DecodeState:
    return DecodeState(to_cache(found.prompts), found.visible, found.positions, found.next_position)
