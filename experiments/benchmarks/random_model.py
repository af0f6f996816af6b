"""Random models and prefilled prompts for benchmarks: a step's cost does not depend on what the numbers are."""

import copy
from dataclasses import dataclass
from itertools import chain

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.initialization import no_init_weights

from mechdyn.decoding.engine import DecodeState
from mechdyn.decoding.memory import Memory, Prompts
from mechdyn.models.load import wrap_model
from mechdyn.models.model import Model
from mechdyn.models.registry import MINI_FOLDER
from mechdyn.tasks.sample import Sample

WORDS = range(6, 12)
"""The only tokens that prompts hold and, on the CPU, models predict, so that heads copy by chance and dynamic ablation has work."""


@dataclass(frozen=True)
class Shape:
    """A Llama's size."""

    n_layers: int
    n_heads: int
    n_kv_heads: int
    d_model: int
    d_mlp: int
    vocabulary: int = 2048

    def __str__(self) -> str:
        return f"{self.n_layers} layers x {self.n_heads} heads ({self.n_kv_heads} for keys), d {self.d_model}"


LLAMA_8B = Shape(32, 32, 8, 4096, 14_336, 128_256)


def random_pair(shape: Shape, length: int, device: str = "cpu", dtype: torch.dtype = torch.float32) -> tuple[Model, LlamaForCausalLM]:
    """A model under hooks, and plain Hugging Face with sdpa over the same weights."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.d_model,
        intermediate_size=shape.d_mlp,
        num_hidden_layers=shape.n_layers,
        num_attention_heads=shape.n_heads,
        num_key_value_heads=shape.n_kv_heads,
        max_position_embeddings=length,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=None,
    )
    with torch.device(device), no_init_weights():
        hf = LlamaForCausalLM._from_config(config, dtype=dtype).eval()
    with torch.no_grad():
        for name, parameter in hf.named_parameters():
            parameter.fill_(1.0) if "norm" in name else parameter.normal_(std=0.02)
        hf.lm_head.weight[: WORDS.start] = 0.0
        hf.lm_head.weight[WORDS.stop :] = 0.0
    plain = copy.deepcopy(hf, {id(tensor): tensor for tensor in chain(hf.parameters(), hf.buffers())})
    plain.set_attn_implementation("sdpa")
    return wrap_model(hf, AutoTokenizer.from_pretrained(MINI_FOLDER), name="random", device=device), plain


def random_samples(n_samples: int, length: int) -> list[Sample]:
    """Prompts of few words, every second position of which is needle."""
    tokens = torch.randint(WORDS.start, WORDS.stop, (n_samples, length))
    needle = torch.arange(0, length, 2)
    return [Sample("niah", f"random {row}", tokens[row], ((0, 1),), needle, (0, 1), "?", "!") for row in range(n_samples)]


def random_state(model: Model, shape: Shape, n_rows: int, length: int) -> DecodeState:
    """As if so many prompts of one length, less their last token, had been prefilled."""
    size = (n_rows, shape.n_kv_heads, length - 1, model.d_head)
    keys, values = (tuple(torch.randn(size, device=model.device, dtype=model.dtype) for _ in range(shape.n_layers)) for _ in range(2))
    visible = torch.ones(n_rows, length - 1, dtype=torch.long, device=model.device)
    positions = torch.arange(length - 1, device=model.device).expand(n_rows, -1)
    return DecodeState(Memory.after(Prompts(keys, values, None, length - 1), n_rows), visible, positions, visible.sum(dim=1))
