"""The five architecture styles of the paper, and those with sliding windows, tiny, with random weights."""

import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GptOssConfig,
    GptOssForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Olmo3Config,
    Olmo3ForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

STYLES = ("llama3.1", "llama3.2", "qwen3", "llama2", "phi4-mini")
WINDOWED = ("mistral", "gemma3", "gemma2", "olmo3", "gpt-oss", "qwen2")
"""Styles of which some layers see `WINDOW` positions. Gemma 2 caps its scores besides, gpt-oss has sinks."""
WINDOW = 16
BIASED = "biased"
"""A Llama whose attention projections all have biases, the output projection too."""
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


_WINDOWED = {**_SIZE, **_TOKENS, "num_hidden_layers": 3, "max_position_embeddings": 512, "sliding_window": WINDOW}
_EVERY_OTHER = ("sliding_attention", "full_attention", "sliding_attention")


def _mistral(num_key_value_heads: int = 2) -> PreTrainedModel:
    return MistralForCausalLM(MistralConfig(**_WINDOWED, num_key_value_heads=num_key_value_heads))


def _gemma3(num_key_value_heads: int = 2, sliding_window: int = WINDOW) -> PreTrainedModel:
    kinds = {"layer_types": list(_EVERY_OTHER), "head_dim": 16, "sliding_window": sliding_window}
    return Gemma3ForCausalLM(Gemma3TextConfig(**{**_WINDOWED, **kinds}, num_key_value_heads=num_key_value_heads))


def _gemma2(num_key_value_heads: int = 2) -> PreTrainedModel:
    kinds = {"layer_types": list(_EVERY_OTHER), "head_dim": 16, "attn_logit_softcapping": 2.0, "query_pre_attn_scalar": 16}
    return Gemma2ForCausalLM(Gemma2Config(**_WINDOWED, **kinds, num_key_value_heads=num_key_value_heads))


def _olmo3(num_key_value_heads: int = 2) -> PreTrainedModel:
    return Olmo3ForCausalLM(Olmo3Config(**_WINDOWED, layer_types=list(_EVERY_OTHER), num_key_value_heads=num_key_value_heads))


def _gpt_oss(num_key_value_heads: int = 2) -> PreTrainedModel:
    experts = {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 16}
    kinds = {"layer_types": list(_EVERY_OTHER)}
    return GptOssForCausalLM(GptOssConfig(**_WINDOWED, **experts, **kinds, num_key_value_heads=num_key_value_heads))


def _qwen2(num_key_value_heads: int = 2) -> PreTrainedModel:
    """Its later layers have the window, where a checkpoint switches it on."""
    kinds = {"use_sliding_window": True, "max_window_layers": 1}
    return Qwen2ForCausalLM(Qwen2Config(**_WINDOWED, **kinds, num_key_value_heads=num_key_value_heads))


def _biased() -> PreTrainedModel:
    return LlamaForCausalLM(LlamaConfig(**_SIZE, **_TOKENS, num_key_value_heads=2, attention_bias=True, max_position_embeddings=4096))


_BUILDERS = {
    "llama3.1": _llama31,
    "llama3.2": _llama32,
    "qwen3": _qwen3,
    "llama2": _llama2,
    "phi4-mini": _phi4_mini,
    "mistral": _mistral,
    "gemma3": _gemma3,
    "gemma2": _gemma2,
    "olmo3": _olmo3,
    "gpt-oss": _gpt_oss,
    "qwen2": _qwen2,
    BIASED: _biased,
}
