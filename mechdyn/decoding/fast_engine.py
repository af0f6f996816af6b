"""The fast engine: decode steps through transformers' attention interface, at a cost near that of plain generation."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Int
from torch import Tensor

from mechdyn.decoding.capture import check_hidden, hooked_points
from mechdyn.decoding.engine import DecodeState, HeadEdit, StepOutput
from mechdyn.decoding.memory import Memory
from mechdyn.decoding.one_query import MemoryQuery, StepView, Trail
from mechdyn.decoding.prefill import Prefilled, extend, prefill
from mechdyn.decoding.writes import Writes
from mechdyn.errors import InputError
from mechdyn.models.model import Model


class FastEngine:
    """Equal to `BridgeEngine` in logits, scores and head sets. It runs the sdpa twin, where hooks of the bridge do not act.

    `hidden` chooses the final hidden state: `final` is the output of the last norm, `residual` the stream before it. `chunk` is the number
    of tokens that prefill reads at a time.
    """

    def __init__(self, model: Model, hidden: str = "final", chunk: int | None = None) -> None:
        self.model, self.hidden, self.chunk = model, check_hidden(hidden), chunk
        self._layers = [model.twin.get_submodule(block.name) for block in model.bridge.blocks]
        self._final_norm = model.twin.get_submodule(model.bridge.ln_final.name)

    def prefill(
        self, prompts: Sequence[Int[Tensor, " _"]], positions: Sequence[Int[Tensor, " _"]] | None = None, *, apart: bool = False
    ) -> DecodeState:
        self._refuse_hooks()
        found = prefill(self.model, prompts, positions, self.chunk, apart)
        return _state(found)

    def extend(self, state: DecodeState, tokens: Sequence[Int[Tensor, " _"]], *, keep: int = 0) -> DecodeState:
        if not any(len(row) for row in tokens):
            return state
        self._refuse_hooks()
        state.require_whole()
        held = Prefilled(state.memory.laid_out(), state.visible, state.positions, state.next_position)
        return _state(extend(self.model, held, tokens, self.chunk, keep))

    def fork(self, state: DecodeState, rows: Sequence[int], *, passing: bool = False) -> DecodeState:
        return state.select(state.memory.fork(rows, passing), rows)

    @torch.inference_mode()
    def step(
        self, state: DecodeState, tokens: Int[Tensor, " row"], edit: HeadEdit | None = None, observed: StepOutput | None = None
    ) -> tuple[StepOutput, DecodeState]:
        """An edited step takes the layers before its first edited head from `observed`."""
        if edit is not None and edit.whole:
            raise ValueError("an engine with a cache cannot edit past positions; use ReferenceEngine")
        if edit is not None and edit.averaged is not None:
            state.require_whole()
        seen = observed.trail if edit is not None and observed is not None else None
        if seen is not None and not seen.goes_with(state, tokens):
            raise ValueError("observed must be what the same state gave for the same tokens")
        query = MemoryQuery(state.memory, tokens, StepView.of(self.model.windows, state), edit, seen)
        device = self.model.twin.get_input_embeddings().weight.device
        with self._read_by(query):
            logits = self.model.twin(
                tokens[:, None].to(device),
                # A mask that is 4-D already is passed on as it is; the query keeps its own.
                attention_mask=torch.ones(len(tokens), 1, 1, 1, dtype=torch.bool, device=device),
                position_ids=state.next_position[:, None].to(device),
                use_cache=False,
                one_query=query,
            ).logits
        after = state.fed(query.memory())
        hidden = query.final if self.hidden == "final" else query.residual
        trail = Trail.of(query) if query.observing else None
        return StepOutput(logits[:, -1], query.patterns(), hidden, trail, Writes(self.model, query.read_along)), after

    def _refuse_hooks(self) -> None:
        if hooked := hooked_points(self.model):
            raise InputError(f"the bridge carries hooks ({hooked[0]} ...), which the fast engine does not run; ask for engine='bridge'")

    @contextmanager
    def _read_by(self, query: MemoryQuery) -> Iterator[None]:
        """Let the query read the layers' outputs and the last norm, and skip the layers that it knows."""
        skipped = self._layers[: query.first]
        handles = [self._final_norm.register_forward_hook(query.read_norm)]
        if query.observing:
            handles += [layer.register_forward_hook(query.read_layer) for layer in self._layers]
        replaced = [layer.__dict__.get("forward") for layer in skipped]
        for layer in skipped:
            layer.forward = query.known_output
        try:
            yield
        finally:
            for layer, forward in zip(skipped, replaced, strict=True):
                del layer.forward
                if forward is not None:
                    layer.forward = forward
            for handle in handles:
                handle.remove()


def _state(found: Prefilled) -> DecodeState:
    return DecodeState(Memory.after(found.prompts, len(found.next_position)), found.visible, found.positions, found.next_position)
