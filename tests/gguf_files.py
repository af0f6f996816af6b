"""GGUF files made here: a tiny Llama with random weights, written with the package `gguf` as llama.cpp's converter writes one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

CHATML = (
    "{% for m in messages %}{{ '<|head|>' + m['role'] + '\n' + m['content'] + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|head|>assistant\n' }}{% endif %}"
)
_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
_CONTROL = 3


def small_llama(n_vocab: int, seed: int = 0) -> LlamaForCausalLM:
    """Two layers of eight heads in two groups, float32."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=n_vocab,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=8,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 50_000.0},
        tie_word_embeddings=False,
    )
    hf = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in hf.parameters():
            parameter.normal_(std=0.12) if parameter.dim() > 1 else parameter.uniform_(0.8, 1.2)
    return hf


def write_gguf(path: Path, hf: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, **changes: Any) -> Path:
    """A Llama with its byte-level tokenizer as a GGUF file.

    Args:
        path: where to.
        hf: the model; its vocabulary is the tokenizer's.
        tokenizer: a byte-level BPE.
        changes: `architecture`, `pre`, `template`, `kind` (a name of GGMLQuantizationType), `ends` by key (`eos`, `eot`, `eom`),
            `more` metadata strings and `tensors` by name.
    """
    from gguf import GGMLQuantizationType, GGUFWriter, quantize

    writer = GGUFWriter(path, changes.get("architecture", "llama"))
    _write_config(writer, hf.config)
    _write_tokenizer(writer, tokenizer, changes)
    for key, value in changes.get("more", {}).items():
        writer.add_string(key, value)
    kind = GGMLQuantizationType[changes.get("kind", "F32")]
    for name, tensor in [*_tensors(hf).items(), *changes.get("tensors", {}).items()]:
        matrix = tensor.ndim > 1 and kind != GGMLQuantizationType.F32
        writer.add_tensor(name, quantize(tensor, kind) if matrix else tensor, raw_dtype=kind if matrix else None)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_config(writer: Any, config: LlamaConfig) -> None:
    writer.add_name("a tiny llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)


def _write_tokenizer(writer: Any, tokenizer: PreTrainedTokenizerFast, changes: dict[str, Any]) -> None:
    described = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    special = {token["content"] for token in described["added_tokens"]}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(changes.get("pre", "gpt-2"))
    writer.add_token_list([token for token, _ in vocabulary])
    writer.add_token_types([_CONTROL if token in special else 1 for token, _ in vocabulary])
    writer.add_token_merges([" ".join(pair) for pair in described["model"]["merges"]])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_add_bos_token(False)
    ends = {"eos": tokenizer.eos_token_id, **changes.get("ends", {})}
    for key, token in ends.items():
        writer.add_uint32(f"tokenizer.ggml.{key}_token_id", token)
    if (template := changes.get("template", CHATML)) is not None:
        writer.add_chat_template(template)


def _tensors(hf: LlamaForCausalLM) -> dict[str, np.ndarray]:
    """Under llama.cpp's names, the rotated halves of queries and keys interleaved as it wants them."""
    n_heads = {"attn_q": hf.config.num_attention_heads, "attn_k": hf.config.num_key_value_heads}
    found = {}
    for name, parameter in hf.state_dict().items():
        tensor = parameter.float().numpy()
        if name.startswith("model.layers."):
            _, _, layer, *middle, last = name.split(".")
            kind = _NAMES[".".join(middle)]
            if kind in n_heads:
                halves = tensor.reshape(n_heads[kind], 2, -1, tensor.shape[1])
                tensor = halves.swapaxes(1, 2).reshape(tensor.shape)
            found[f"blk.{layer}.{kind}.{last}"] = np.ascontiguousarray(tensor)
        else:
            outer = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
            found[outer.get(name, "output.weight")] = tensor
    return found
