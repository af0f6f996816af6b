"""A decode step of fixed shapes, prepared for CUDA graphs (`StaticEngine` uses it): nothing of it has run on a GPU.

Everything that a step reads or writes stands in tensors made beforehand: prompts, tails with room for all tokens to come, the fed tokens,
their positions, the place in the tail, the heads that are off, the attention rows and what is told of the step. An observing and an ablated
forward are the same kernels over other numbers in `off` and `slot`, so one recorded graph replays both. The ablated one writes its keys and
values to a place of its own behind the tail, where only it looks. Where the needle is known, what the host needs of a step is one small
tensor (`told`).
"""

from typing import Any

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechdyn.decoding.engine import DecodeState
from mechdyn.models.attention import Weighing, by_head, by_key_head, query_first, sinks_by_key_head, weights
from mechdyn.models.model import Model
from mechdyn.scores.copy_paste import copy_paste
from mechdyn.scores.score import StepContext


def why_not(model: Model, state: DecodeState) -> str:
    """Why a step from this state has to be run by the engine; empty where it has not."""
    if any(window is not None for window in model.windows):
        return "layers have sliding windows"
    if state.evicted is not None:
        return "single heads see parts of the prompt"
    if state.n_fed or state.narrowed or not state.memory.prompts.keys:
        return "the state does not stand directly behind whole prompts"
    if not state.memory.grid.full or state.memory.grid.n_copies != 1:
        return "rows share prompts"
    return ""


class StaticStep:
    """Steps of a batch from one prefilled state, zero ablation at the current position, copy-paste scores.

    Args:
        model: what runs.
        state: directly behind the prompts, a row a prompt (`why_not`).
        n_new: tokens to come, at most.
        prompts: each row's prompt where the state has it, padding included, and its needle; without them no scores are told.
    """

    def __init__(
        self,
        model: Model,
        state: DecodeState,
        n_new: int,
        prompts: tuple[Int[Tensor, "row key"], Bool[Tensor, "row key"]] | None = None,
    ) -> None:
        if reason := why_not(model, state):
            raise ValueError(f"no static step here: {reason}")
        held, n_rows, device = state.memory.prompts, len(state.next_position), model.device
        self._model, self._prompts, self._n_new, self._n_far = model, held, n_new, held.length
        self._norm = model.twin.get_submodule(model.bridge.ln_final.name)
        n_keys = held.length + n_new + 1
        self.tails = [
            tuple(states.new_zeros(n_rows, states.shape[1], n_new + 1, states.shape[3]) for states in both)
            for both in zip(held.keys, held.values, strict=True)
        ]
        self.fed = torch.zeros(n_rows, dtype=torch.long, device=device)
        self.positions = state.next_position.to(device).clone()
        self.n_fed = torch.zeros(1, dtype=torch.long, device=device)
        self.slot = torch.zeros(1, dtype=torch.long, device=device)
        self.off = torch.zeros(n_rows, model.n_layers, model.n_heads, dtype=torch.bool, device=device)
        self.patterns = torch.zeros(model.n_layers, n_rows, model.n_heads, n_keys, dtype=model.dtype, device=device)
        self.told = torch.zeros(n_rows, 1 + model.n_layers * model.n_heads, dtype=torch.long, device=device)
        self.logits = torch.empty(0)
        self.residual = torch.zeros(n_rows, model.d_model, dtype=model.dtype, device=device)
        self.final = torch.zeros_like(self.residual)
        room = torch.zeros(n_rows, n_new + 1, dtype=torch.long, device=device)
        self._told_of = None
        if prompts is not None:
            tokens, needle = prompts
            self._told_of = torch.cat([tokens.to(device), room], dim=1), torch.cat([needle.to(device), room.bool()], dim=1)
        self._hidden = torch.cat([held.hidden().to(device), room.bool()], dim=1)
        self._places = torch.arange(n_new + 1, device=device)
        self._mask = torch.ones(n_rows, 1, 1, 1, dtype=torch.bool, device=device)
        self._graph: Any = None

    @torch.inference_mode()
    def observe(self, fed: Int[Tensor, " row"]) -> Int[Tensor, "row told"]:
        """Feed a token to every row: the predicted token of each row, and for each head 1 where it copies.

        On the device, and written over by the next step; so are `logits`, `patterns`, `residual` and `final`.
        """
        self.fed.copy_(fed)
        self.slot.copy_(self.n_fed)
        self.off.zero_()
        return self._run()

    @torch.inference_mode()
    def ablate(self, off: Bool[Tensor, "row layer head"]) -> Int[Tensor, "row told"]:
        """The same input with some heads off; its keys and values stand at the last place of `tails` until the next one."""
        self.off.copy_(off)
        self.slot.fill_(self._n_new)
        return self._run()

    @torch.inference_mode()
    def keep(self) -> None:
        """Go on behind the token that was observed last."""
        self.n_fed += 1
        self.positions += 1

    @torch.inference_mode()
    def capture(self) -> None:
        """Record the step as a CUDA graph; from here on it is replayed.

        Raises:
            RuntimeError: there is no CUDA device, or the model does something that cannot be recorded.
        """
        if self._model.device.type != "cuda":
            raise RuntimeError(f"only CUDA records graphs, and the model is on {self._model.device}")
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(3):  # what is set up once must not be recorded
                self._forward()
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._forward()
        self._graph = graph

    def _run(self) -> Int[Tensor, "row told"]:
        if self._graph is None:
            self._forward()
        else:
            self._graph.replay()
        return self.told

    def _forward(self) -> None:
        """All that is recorded: no shape and no branch depends on a number on the device."""
        n_far = self._n_far
        seen = (self._places < self.n_fed) | (self._places == self.slot)
        self._hidden[:, n_far:] = ~seen
        reading = self._norm.register_forward_hook(self._read_norm)
        try:
            logits = self._model.twin(
                self.fed[:, None], attention_mask=self._mask, position_ids=self.positions[:, None], use_cache=False, one_query=self
            ).logits[:, -1]
        finally:
            reading.remove()
        if self.logits.shape != logits.shape:
            self.logits = torch.zeros_like(logits)
        self.logits.copy_(logits)
        predicted = logits.argmax(dim=-1)
        self.told[:, 0] = predicted
        if self._told_of is None:
            return
        tokens, needle = self._told_of
        tokens.index_copy_(1, n_far + self.slot, self.fed[:, None])
        context = StepContext(tokens, needle, ~self._hidden, predicted)
        for layer in range(self._model.n_layers):
            columns = slice(1 + layer * self._model.n_heads, 1 + (layer + 1) * self._model.n_heads)
            self.told[:, columns] = copy_paste(self.patterns[layer], context).long()

    def _read_norm(self, module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self.residual.copy_(inputs[0][:, -1])
        self.final.copy_(output[:, -1])

    def attend(
        self,
        layer: int,
        query: Float[Tensor, "row head 1 d_head"],
        key: Float[Tensor, "row kv_head 1 d_head"],
        value: Float[Tensor, "row kv_head 1 d_value"],
        how: Weighing,
    ) -> Float[Tensor, "row 1 head d_value"]:
        """Attention over prompt and the whole room of the tail, what is not seen hidden."""
        keys, values = self.tails[layer]
        keys.index_copy_(2, self.slot, key)
        values.index_copy_(2, self.slot, value)
        grouped = by_key_head(query, key.shape[1])
        scores = how.scores(torch.cat([grouped @ self._prompts.keys[layer].mT, grouped @ keys.mT], dim=-1))
        scores.masked_fill_(rearrange(self._hidden, "row key -> row 1 1 key"), torch.finfo(scores.dtype).min)
        pattern = weights(scores, sinks_by_key_head(how.sinks, key.shape[1]))
        z = pattern[..., : self._n_far] @ self._prompts.values[layer] + pattern[..., self._n_far :] @ values
        self.patterns[layer].copy_(by_head(pattern))
        return query_first(z).masked_fill(rearrange(self.off[:, layer], "row head -> row 1 head 1"), 0.0)
