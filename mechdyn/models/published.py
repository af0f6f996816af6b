"""Published configurations, as far as memory and time follow from them, so that planning needs no network.

They are those of the paper's five models, and of one that is too large for a single device.
"""

from typing import Any

import torch
from transformers import LlamaConfig, Phi3Config, PretrainedConfig, Qwen3Config

_LLAMA_3 = {"class": LlamaConfig, "vocab_size": 128_256, "num_key_value_heads": 8, "max_position_embeddings": 131_072}
_CONFIGS: dict[str, dict[str, Any]] = {
    "llama3.1-8b": {
        **_LLAMA_3,
        "hidden_size": 4096,
        "intermediate_size": 14_336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
    },
    "llama3.1-70b": {
        **_LLAMA_3,
        "hidden_size": 8192,
        "intermediate_size": 28_672,
        "num_hidden_layers": 80,
        "num_attention_heads": 64,
    },
    "llama3.2-3b": {
        **_LLAMA_3,
        "hidden_size": 3072,
        "intermediate_size": 8192,
        "num_hidden_layers": 28,
        "num_attention_heads": 24,
        "tie_word_embeddings": True,
    },
    "qwen3-8b": {
        "class": Qwen3Config,
        "vocab_size": 151_936,
        "hidden_size": 4096,
        "intermediate_size": 12_288,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 40_960,
    },
    "llama2-13b": {
        "class": LlamaConfig,
        "vocab_size": 32_000,
        "hidden_size": 5120,
        "intermediate_size": 13_824,
        "num_hidden_layers": 40,
        "num_attention_heads": 40,
        "num_key_value_heads": 40,
        "max_position_embeddings": 4096,
        "dtype": torch.float16,
    },
    "phi4-mini": {
        "class": Phi3Config,
        "vocab_size": 200_064,
        "hidden_size": 3072,
        "intermediate_size": 8192,
        "num_hidden_layers": 32,
        "num_attention_heads": 24,
        "num_key_value_heads": 8,
        "max_position_embeddings": 131_072,
        "tie_word_embeddings": True,
        "pad_token_id": None,
    },
}


def published_config(name: str) -> PretrainedConfig | None:
    """The configuration behind one of these names, rotary scaling left out, since it costs nothing; None for any other name."""
    if name not in _CONFIGS:
        return None
    fields = {"dtype": torch.bfloat16, **_CONFIGS[name]}
    return fields.pop("class")(**fields)
