"""The fast engine: decode steps through transformers' attention interface, without the bridge's copies of keys and values."""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from mechdyn.decoding.cache import fork_rows, shallow_copy
from mechdyn.decoding.engine import DecodeState, HeadEdit, StepOutput
from mechdyn.decoding.prefill import prefill
from mechdyn.models.attention import Rows
from mechdyn.models.model import Model


class FastEngine:
    """Equal to `BridgeEngine` in scores and logits, at a step's cost near that of plain generation.

    It runs the sdpa twin, so TransformerLens hooks that a user has put on the bridge do not act here, and the final hidden state is always
    the one behind the last norm.
    """

    def __init__(self, model: Model) -> None:
        self.model = model

    def prefill(self, prompts: Sequence[Int[Tensor, " _"]], positions: Sequence[Int[Tensor, " _"]] | None = None) -> DecodeState:
        return prefill(self.model, prompts, positions)

    def fork(self, state: DecodeState, rows: Sequence[int]) -> DecodeState:
        return fork_rows(state, rows)

    @torch.inference_mode()
    def step(self, state: DecodeState, tokens: Int[Tensor, " row"], edit: HeadEdit | None = None) -> tuple[StepOutput, DecodeState]:
        if edit is not None and edit.whole:
            raise ValueError("an engine with a cache cannot edit past positions; use ReferenceEngine")
        visible = torch.cat([state.visible, torch.ones_like(state.visible[:, :1])], dim=1)
        rows = Rows() if edit is None else Rows(edit.mask, edit.values)
        output = self.model.twin(
            tokens[:, None].to(self.model.device),
            past_key_values=shallow_copy(state.memory),
            attention_mask=None if bool(visible.all()) else visible,
            position_ids=state.next_position[:, None],
            use_cache=True,
            output_hidden_states=True,
            rows=rows,
        )
        patterns = tuple(rows.patterns[layer] for layer in range(self.model.n_layers))
        hidden = output.hidden_states[-1][:, -1]
        return StepOutput(output.logits[:, -1], patterns, hidden), DecodeState(output.past_key_values, visible, state.next_position + 1)
