"""The five architecture styles of the paper, tiny, with random weights."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Phi3Config, Phi3ForCausalLM, PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

STYLES = ("llama3.1", "llama3.2", "qwen3", "llama2", "phi4-mini")
_SIZE = {"vocab_size": 2048, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 8}
_TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


LIVE = range(6, 12)
"""The only tokens that a model made with `few_words` predicts: with prompts of the same tokens, heads copy often by chance."""


def tiny_model(style: str, seed: int = 0, few_words: bool = False, **options: int) -> PreTrainedModel:
    """A random model of one style whose attention is sharp enough for argmaxes to be clear."""
    torch.manual_seed(seed)
    model = _BUILDERS[style](**options).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.normal_(std=0.12)
        if few_words:
            unembedding = model.get_output_embeddings().weight
            unembedding[: LIVE.start] = 0.0
            unembedding[LIVE.stop :] = 0.0
    return model


def _llama31() -> PreTrainedModel:
    rope = dict(_LLAMA3_ROPE)
    return LlamaForCausalLM(LlamaConfig(**_SIZE, **_TOKENS, num_key_value_heads=2, rope_parameters=rope, max_position_embeddings=131_072))


def _llama32() -> PreTrainedModel:
    rope = {**_LLAMA3_ROPE, "factor": 32.0}
    config = LlamaConfig(
        **_SIZE, **_TOKENS, num_key_value_heads=4, rope_parameters=rope, max_position_embeddings=131_072, tie_word_embeddings=True
    )
    return LlamaForCausalLM(config)


def _qwen3() -> PreTrainedModel:
    rope = {"rope_type": "default", "rope_theta": 1_000_000.0}
    config = Qwen3Config(**_SIZE, **_TOKENS, num_key_value_heads=2, head_dim=16, rope_parameters=rope, max_position_embeddings=40_960)
    return Qwen3ForCausalLM(config)


def _llama2() -> PreTrainedModel:
    return LlamaForCausalLM(LlamaConfig(**_SIZE, **_TOKENS, num_key_value_heads=8, max_position_embeddings=4096))


def _phi4_mini(original_context: int = 4096) -> PreTrainedModel:
    half = 8 * 3 // 4 // 2
    rope = {
        "rope_type": "longrope",
        "rope_theta": 10_000.0,
        "short_factor": [1.0 + 0.1 * i for i in range(half)],
        "long_factor": [1.5 + 0.3 * i for i in range(half)],
        "original_max_position_embeddings": original_context,
        "partial_rotary_factor": 0.75,
    }
    config = Phi3Config(
        **_SIZE,
        **_TOKENS,
        num_key_value_heads=2,
        rope_parameters=rope,
        max_position_embeddings=131_072,
        original_max_position_embeddings=original_context,
        tie_word_embeddings=True,
    )
    return Phi3ForCausalLM(config)


_BUILDERS = {"llama3.1": _llama31, "llama3.2": _llama32, "qwen3": _qwen3, "llama2": _llama2, "phi4-mini": _phi4_mini}
