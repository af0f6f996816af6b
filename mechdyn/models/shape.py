"""How large a model is, from its configuration alone: no weight is read or made."""

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from mechdyn.models.checkpoint import read_config
from mechdyn.models.context import context_of
from mechdyn.models.planted.design import planted_kind
from mechdyn.models.planted.model import build_planted
from mechdyn.models.published import published_config
from mechdyn.models.registry import CONTROLS, MINI_FOLDER


@dataclass(frozen=True)
class ModelShape:
    """The sizes that memory and time follow from; counts of numbers, not of bytes.

    `n_matmul` are the weights that every token passes through, `n_unembed` those of the matrix to the vocabulary, which only the last
    position does; `n_read` are all that a forward reads: every weight but embeddings of which it only looks rows up. `fused_mlp` says that
    gate and up are one matrix (Phi-3).
    """

    n_parameters: int
    n_matmul: int
    n_unembed: int
    n_read: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    d_head: int
    d_model: int
    d_vocab: int
    d_mlp: int
    fused_mlp: bool
    n_ctx: int
    dtype: torch.dtype

    @property
    def n_mlp_live(self) -> int:
        """Numbers that a token has in an MLP at once: gate, up and their product, and where those come from one matrix its whole output."""
        return (4 if self.fused_mlp else 3) * self.d_mlp

    @property
    def n_elementwise(self) -> int:
        """Numbers that a token has read and written, over all layers, between the matrix products.

        Passes over the residual stream (two norms of 7, two sums of 3), over queries, keys and z (rotation of 10, a copy of 2), and
        over the MLP (activation of 2, product of 3).
        """
        rotated = (self.n_heads + self.n_kv_heads) * self.d_head
        return self.n_layers * (20 * self.d_model + 12 * rotated + 5 * self.d_mlp)

    @property
    def n_cached(self) -> int:
        """Keys and values of one position in all layers."""
        return 2 * self.n_layers * self.n_kv_heads * self.d_head


def planned_shape(name: str) -> ModelShape:
    """The shape of a model that `load_model` would take by this name. `dtype` is the checkpoint's own.

    The paper's five models and llama3.1-70b need no network, local folders and bundled models neither; of a hub id the configuration is
    fetched.

    Raises:
        InputError: nothing of that name, or a configuration that cannot be read.
        UnsupportedModelError: not a causal language model that transformers has, or one whose attention cannot be traced.
    """
    if name in CONTROLS:
        tokenizer = AutoTokenizer.from_pretrained(MINI_FOLDER)
        return shape_of(build_planted(planted_kind(name), tokenizer))
    config = published_config(name) or read_config(name)
    n_ctx = context_of(name, config.get_text_config(), None)
    with torch.device("meta"):
        return replace(shape_of(AutoModelForCausalLM.from_config(copy.deepcopy(config))), n_ctx=n_ctx)


def shape_of(hf: Any) -> ModelShape:
    """The shape of a Hugging Face causal model, on whatever device it lies."""
    config = hf.config.get_text_config()
    parameters, unembed = list(hf.parameters()), hf.get_output_embeddings().weight
    looked_up = {id(module.weight) for module in hf.modules() if isinstance(module, nn.Embedding)} - {id(unembed)}
    matrices = [parameter for parameter in parameters if parameter.dim() > 1 and id(parameter) not in looked_up | {id(unembed)}]
    n_parameters = sum(parameter.numel() for parameter in parameters)
    width = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    fused = max(max(matrix.shape) for matrix in matrices) >= 2 * width
    return ModelShape(
        n_parameters=n_parameters,
        n_matmul=sum(matrix.numel() for matrix in matrices),
        n_unembed=unembed.numel(),
        n_read=n_parameters - sum(parameter.numel() for parameter in parameters if id(parameter) in looked_up),
        n_layers=config.num_hidden_layers,
        n_heads=config.num_attention_heads,
        n_kv_heads=getattr(config, "num_key_value_heads", None) or config.num_attention_heads,
        d_head=getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
        d_model=config.hidden_size,
        d_vocab=unembed.shape[0],
        d_mlp=width,
        fused_mlp=fused,
        n_ctx=config.max_position_embeddings,
        dtype=hf.dtype,
    )
