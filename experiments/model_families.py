"""Which families of models run here: each is built tiny, with random weights, and held against plain Hugging Face code.

`python -m experiments.model_families --out docs/model_families.md` writes the table of docs/models.md.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from mechdyn.cli import run_script

WINDOW = 48
"""The sliding window of the families that have one."""


@dataclass(frozen=True)
class Family:
    """One row: a configuration of transformers, as a class of it and fields beyond the common small ones."""

    name: str
    checkpoints: str
    config: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    common: bool = True


_SIZE = {
    "vocab_size": 2048,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
}
_TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_GROUPED = {"num_key_value_heads": 2}
_WINDOWED = {**_GROUPED, "sliding_window": WINDOW}
_HEAD_DIM = {**_GROUPED, "head_dim": 16}
_SLIDING = ["sliding_attention", "full_attention"]
_LINEAR = ["linear_attention", "full_attention"]
_EXPERTS = {"num_experts_per_tok": 2}
_OLD = {"vocab_size": 2048, "n_layer": 2, "n_head": 4, "n_embd": 64, "n_positions": 512}
_FALCON = {"vocab_size": 2048, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
_LLAMA_3 = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
_LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10_000.0,
    "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5],
    "long_factor": [1.5, 1.8, 2.1, 2.4, 2.7, 3.0],
    "original_max_position_embeddings": 256,
    "partial_rotary_factor": 0.75,
}

FAMILIES = (
    Family("Llama 2", "Llama-2, Vicuna", "LlamaConfig"),
    Family("Llama 3", "Llama-3.1, 3.2, 3.3", "LlamaConfig", {**_GROUPED, "rope_parameters": _LLAMA_3}),
    Family("Qwen 3", "Qwen3 dense", "Qwen3Config", _HEAD_DIM),
    Family(
        "Phi-3, Phi-4-mini",
        "longrope",
        "Phi3Config",
        {**_GROUPED, "rope_parameters": _LONGROPE, "original_max_position_embeddings": 256},
    ),
    Family("Mistral", "7B v0.2 and later", "MistralConfig", {**_GROUPED, "sliding_window": None}),
    Family("Mistral, sliding window", "7B v0.1", "MistralConfig", _WINDOWED),
    Family("Mixtral", "8x7B, 8x22B", "MixtralConfig", {**_GROUPED, **_EXPERTS, "num_local_experts": 4}),
    Family("Qwen 2", "Qwen2, Qwen2.5", "Qwen2Config", _GROUPED),
    Family("Qwen 3 MoE", "Qwen3-30B-A3B", "Qwen3MoeConfig", {**_HEAD_DIM, **_EXPERTS, "num_experts": 4, "moe_intermediate_size": 32}),
    Family(
        "Qwen 2, sliding window", "use_sliding_window", "Qwen2Config", {**_WINDOWED, "use_sliding_window": True, "max_window_layers": 1}
    ),
    Family("Qwen 3 Next", "80B-A3B", "Qwen3NextConfig", {**_HEAD_DIM, **_EXPERTS, "num_experts": 4, "layer_types": _LINEAR}),
    Family("Qwen 3.5", "text", "Qwen3_5TextConfig", {**_HEAD_DIM, "layer_types": _LINEAR}),
    Family("Gemma", "2B, 7B", "GemmaConfig", {"num_key_value_heads": 1, "head_dim": 16}),
    Family("Gemma 2", "2B, 9B, 27B", "Gemma2Config", {**_HEAD_DIM, "sliding_window": WINDOW, "layer_types": _SLIDING}),
    Family("Gemma 3", "text: 270M, 1B", "Gemma3TextConfig", {**_HEAD_DIM, "sliding_window": WINDOW, "layer_types": _SLIDING}),
    Family("OLMo", "OLMo 1", "OlmoConfig"),
    Family("OLMo 2", "7B, 13B", "Olmo2Config", _GROUPED),
    Family("OLMo 3", "7B, 32B", "Olmo3Config", {**_WINDOWED, "layer_types": _SLIDING}),
    Family("Phi", "Phi-1.5, Phi-2", "PhiConfig"),
    Family("StableLM", "StableLM 2", "StableLmConfig", _GROUPED),
    Family("StarCoder 2", "3B, 7B, 15B", "Starcoder2Config", _GROUPED),
    Family("SmolLM 3", "3B", "SmolLM3Config", _GROUPED),
    Family("GLM-4", "9B, 32B", "Glm4Config", _HEAD_DIM),
    Family("Granite", "Granite 3", "GraniteConfig", _GROUPED),
    Family("Cohere", "Command R", "CohereConfig", _GROUPED),
    Family("Cohere 2", "Command R7B, Command A", "Cohere2Config", {**_WINDOWED, "layer_types": _SLIDING}),
    Family("GPT-2", "GPT-2, DistilGPT-2", "GPT2Config", _OLD, common=False),
    Family("GPT-NeoX", "Pythia", "GPTNeoXConfig"),
    Family("GPT-J", "6B", "GPTJConfig", {**_OLD, "rotary_dim": 8}, common=False),
    Family(
        "GPT-Neo",
        "125M to 2.7B",
        "GPTNeoConfig",
        {
            "vocab_size": 2048,
            "hidden_size": 64,
            "num_layers": 2,
            "num_heads": 4,
            "window_size": WINDOW,
            "attention_types": [[["global", "local"], 1]],
            "max_position_embeddings": 512,
        },
        common=False,
    ),
    Family("OPT", "125M to 66B", "OPTConfig", {"ffn_dim": 96, "word_embed_proj_dim": 64}),
    Family("Falcon", "7B", "FalconConfig", {**_FALCON, "alibi": False, "multi_query": True}, common=False),
    Family("Falcon, ALiBi", "RW-1B, RW-7B", "FalconConfig", {**_FALCON, "alibi": True, "multi_query": False}, common=False),
    Family(
        "Falcon, grouped",
        "40B, 180B",
        "FalconConfig",
        {**_FALCON, "alibi": False, "new_decoder_architecture": True, "num_kv_heads": 2},
        common=False,
    ),
    Family("BLOOM", "560M to 176B", "BloomConfig", {"vocab_size": 2048, "hidden_size": 64, "n_layer": 2, "n_head": 4}, common=False),
    Family("GPT-OSS", "20B, 120B", "GptOssConfig", {**_HEAD_DIM, **_EXPERTS, "sliding_window": WINDOW, "num_local_experts": 4}),
    Family(
        "DeepSeek V3",
        "V3, R1",
        "DeepseekV3Config",
        {
            **_EXPERTS,
            "num_key_value_heads": 4,
            "n_routed_experts": 4,
            "n_group": 1,
            "topk_group": 1,
            "q_lora_rank": 16,
            "kv_lora_rank": 16,
            "qk_rope_head_dim": 8,
            "v_head_dim": 16,
            "qk_nope_head_dim": 8,
            "moe_intermediate_size": 32,
            "first_k_dense_replace": 1,
        },
    ),
    Family("Mamba", "130M to 2.8B", "MambaConfig", {"vocab_size": 2048, "hidden_size": 64, "num_hidden_layers": 2}, common=False),
    Family(
        "Jamba",
        "attention in some layers only",
        "JambaConfig",
        {
            **_GROUPED,
            "use_mamba_kernels": False,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "expert_layer_period": 2,
            "num_experts": 2,
        },
    ),
    Family("BERT", "encoders", "BertConfig"),
    Family("T5", "encoder and decoder", "T5Config", {"d_model": 64, "num_layers": 2, "num_heads": 4, "d_kv": 16, "d_ff": 96}, common=False),
)


def row(family: Family) -> str:
    """One line of the table: what the check says of this family."""
    from mechdyn.decoding.conformance import check_model
    from mechdyn.errors import MechdynError

    with TemporaryDirectory() as folder:
        _write(family, Path(folder))
        try:
            found = check_model(folder)
        except MechdynError as error:
            reason = str(error).replace(folder, "it").removeprefix("it: ").removeprefix("it ")
            return f"| {family.name} | {family.checkpoints} | refused | {_one_sentence(reason)} |"
    failed = [check.name for check in found.checks if check.passed is False]
    if failed:
        return f"| {family.name} | {family.checkpoints} | fails | {', '.join(failed)} |"
    notes = [] if found["fast engine"].passed else ["steps run on the bridge engine"]
    if any(check.name == "window" for check in found.checks):
        notes.append("sliding windows")
    if found.n_ctx < _SIZE["max_position_embeddings"] and not family.fields.get("rope_parameters"):
        notes.append("up to its local window")
    if "sink" in found["row sums"].what:
        notes.append("its rows sum to less than 1, by the share of a sink")
    if family.fields.get("rope_parameters") is _LONGROPE:
        notes.append("beyond its original context with `max_length`")
    return f"| {family.name} | {family.checkpoints} | passes | {'; '.join(notes)} |"


def _one_sentence(reason: str) -> str:
    reason = reason.split(" Please request")[0].split(". Available")[0]
    return reason.replace("|", "\\|")


def _write(family: Family, folder: Path) -> None:
    """A checkpoint of random weights; an architecture without a language model's head is written as its configuration alone."""
    import torch
    import transformers

    from mechdyn.models.registry import MINI_FOLDER

    own = {**(_SIZE if family.common else {}), **(_TOKENS if family.config != "T5Config" else {}), **family.fields}
    config = getattr(transformers, family.config)(**own)
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    if type(config) in transformers.AutoModelForCausalLM._model_mapping:
        hf = transformers.AutoModelForCausalLM.from_config(config)
        with torch.no_grad():
            for name, parameter in hf.named_parameters():
                if "norm" not in name and "ln" not in name:
                    parameter.normal_(std=0.12)
        hf.save_pretrained(folder)
    else:
        config.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(MINI_FOLDER).save_pretrained(folder)


def model_families(out: Annotated[str | None, typer.Option(help="Write the table here instead of printing it.")] = None) -> None:
    """Check every family and write the table."""
    from tqdm import tqdm

    os.environ["HF_HUB_OFFLINE"] = "1"
    rows = [row(family) for family in tqdm(FAMILIES, disable=None, delay=1)]
    table = "\n".join(["| family | checkpoints | check | |", "|---|---|---|---|", *rows])
    if out is None:
        print(table)
    else:
        Path(out).write_text(table + "\n")


if __name__ == "__main__":
    run_script(model_families)
