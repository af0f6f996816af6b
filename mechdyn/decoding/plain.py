"""Plain Hugging Face forwards with eager attention and no cache: what `mechdyn models check` holds the engines against."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import GenerationConfig

from mechdyn.models.load import weight_sharing_copy


@dataclass(frozen=True, eq=False)
class PlainOutput:
    """What one forward gives at the last position, on the CPU in float32."""

    logits: Float[Tensor, " vocab"]
    patterns: Float[Tensor, "layer head key"]
    hidden: Float[Tensor, " d_model"]


@dataclass(frozen=True, eq=False)
class PlainModel:
    """A model as transformers runs it, over the same tensors as the hooked one; `outputs` names each layer's output projection."""

    hf: Any
    outputs: tuple[str, ...]

    @property
    def n_vocab(self) -> int:
        """Tokens that the model knows."""
        return int(self.hf.get_input_embeddings().weight.shape[0])

    def with_window(self, window: int) -> "PlainModel":
        """The same with another sliding window in the layers that have one; transformers' masks follow the configuration."""
        hf = weight_sharing_copy(self.hf)
        hf.config.get_text_config().sliding_window = window
        return PlainModel(hf, self.outputs)

    @torch.inference_mode()
    def forward(self, tokens: Int[Tensor, " pos"], off: Bool[Tensor, "layer head"] | None = None) -> PlainOutput:
        """The whole sequence; heads in `off` have their slice of the output projection's input zeroed at the last position."""
        row = tokens[None].to(self.hf.get_input_embeddings().weight.device)
        with self._without(off):
            output = self.hf(row, attention_mask=torch.ones_like(row), use_cache=False, output_attentions=True, output_hidden_states=True)
        patterns = torch.stack([attention[0, :, -1].float().cpu() for attention in output.attentions])
        return PlainOutput(output.logits[0, -1].float().cpu(), patterns, output.hidden_states[-1][0, -1].float().cpu())

    @torch.inference_mode()
    def generate(self, tokens: Int[Tensor, " pos"], end_ids: Sequence[int], max_new_tokens: int) -> list[int]:
        """Greedy text by transformers' own `generate`, without the id that ended it; nothing of the checkpoint's sampling settings."""
        row = tokens[None].to(self.hf.get_input_embeddings().weight.device)
        own = self.hf.generation_config
        self.hf.generation_config = GenerationConfig(eos_token_id=list(end_ids) or None, pad_token_id=0, max_new_tokens=max_new_tokens)
        try:
            found = self.hf.generate(row, attention_mask=torch.ones_like(row), do_sample=False)
        finally:
            self.hf.generation_config = own
        text = found[0, len(tokens) :].tolist()
        return text[:-1] if text and text[-1] in end_ids else text

    @contextmanager
    def _without(self, off: Bool[Tensor, "layer head"] | None) -> Iterator[None]:
        handles = []
        for layer, heads in enumerate(off if off is not None else ()):
            module = self.hf.get_submodule(self.outputs[layer])
            handles.append(module.register_forward_pre_hook(_zero_slices(heads)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def plain_copy(hf: Any, published: Any = None) -> Any:
    """A copy of a model over the same tensors, taken before hooks are put on it, with eager attention.

    With the `published` configuration its rotary tables are made afresh from that, not from one in which longrope was pinned.
    """
    copy = weight_sharing_copy(hf)
    copy.set_attn_implementation("eager")
    for name, module in list(copy.named_modules()) if published is not None else ():
        if hasattr(module, "rope_type") and hasattr(module, "inv_freq"):
            copy.set_submodule(name, type(module)(published.get_text_config()).to(module.inv_freq.device))
    return copy.eval()


def output_projections(bridge: Any) -> tuple[str, ...]:
    """The module behind each layer's heads, as transformers names it (`model.layers.0.self_attn.o_proj`): an address, no computation."""
    mapping = bridge.adapter.component_mapping
    attention = mapping["blocks"].submodules["attn"]
    path = f"{attention.name}.{attention.submodules['o'].name}"
    return tuple(f"{mapping['blocks'].name}.{layer}.{path}" for layer in range(bridge.cfg.n_layers))


def _zero_slices(heads: Bool[Tensor, " head"]) -> Any:
    def zero(module: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        z = rearrange(args[0], "row pos (head d_head) -> row pos head d_head", head=len(heads)).clone()
        z[:, -1, heads.to(z.device)] = 0.0
        return (rearrange(z, "row pos head d_head -> row pos (head d_head)"), *args[1:])

    return zero
