"""The paper's five models as the hub has them, at tiny width: published config keys, sharded weights, tokenizer and template.

Weights are random and templates are ours, but all that has gone wrong with the real ones is there: rotary scaling, GQA, tied embeddings,
code in the repository, several ids that end generation, sampling switched on, and a BOS that both tokenizer and template write.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from mechdyn.models.registry import PAPER_MODELS
from tests.tokenizers import WORDS, byte_tokens, train

LLAMA_3 = (
    "{%- if date_string is not defined %}{%- if strftime_now is defined %}{%- set date_string = strftime_now('%d %b %Y') %}"
    "{%- else %}{%- set date_string = 'no date' %}{%- endif %}{%- endif %}"
    "{%- set system = messages[0]['content'] | trim if messages[0]['role'] == 'system' else '' %}"
    "{{- bos_token + '<|start_header_id|>system<|end_header_id|>\n\nDay: ' + date_string + '\n\n' + system + '<|eot_id|>' }}"
    "{%- for m in messages if m['role'] != 'system' %}"
    "{{- '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim + '<|eot_id|>' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"
)
QWEN_3 = (
    "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}"
    "{%- if enable_thinking is defined and not enable_thinking %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}{%- endif %}"
)
LLAMA_2 = (
    "{%- set system = messages[0]['content'] if messages[0]['role'] == 'system' else none %}"
    "{%- for m in messages if m['role'] != 'system' %}{%- if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{- raise_exception('user and assistant must take turns') }}{%- endif %}"
    "{%- set text = '<<SYS>>\n' + system + '\n<</SYS>>\n\n' + m['content'] if loop.first and system is not none else m['content'] %}"
    "{%- if m['role'] == 'user' %}{{- bos_token + '[INST] ' + text | trim + ' [/INST]' }}"
    "{%- else %}{{- ' ' + text | trim + ' ' + eos_token }}{%- endif %}{%- endfor %}"
)
PHI_4 = (
    "{%- for m in messages %}{{- '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{%- endfor %}"
    "{{- '<|assistant|>' if add_generation_prompt else eos_token }}"
)


@dataclass(frozen=True)
class Family:
    """How one checkpoint is made. `ends` are the tokens at which generation ends, the tokenizer's own first."""

    config: dict[str, Any]
    generation: dict[str, Any]
    special: tuple[str, ...]
    bos: str | None
    ends: tuple[str, ...]
    template: str
    tokenizer: Callable[["Family"], Tokenizer]
    heads: int
    kv_heads: int
    dtype: str = "bfloat16"
    adds_bos: bool = True


def make_checkpoint(name: str, folder: Path, seed: int = 0, **config: Any) -> Path:
    """Write the folder of one of the five. `config` overrides config.json."""
    family = FAMILIES[name]
    tokenizer = family.tokenizer(family)
    ids = {token: tokenizer.token_to_id(token) for token in family.special}
    content = {
        **_SIZE,
        **family.config,
        "vocab_size": tokenizer.get_vocab_size() + 8,
        "hidden_size": 16 * family.heads,
        "num_attention_heads": family.heads,
        "num_key_value_heads": family.kv_heads,
        "bos_token_id": ids[family.bos or family.ends[-1]],
        "eos_token_id": [ids[end] for end in family.ends] if name.startswith("llama3") else ids[family.ends[-1]],
        "torch_dtype": family.dtype,
        **config,
    }
    folder.mkdir(parents=True)
    _write(folder / "config.json", content)
    hf = _random_model(folder, [ids[end] for end in family.ends], seed)
    hf.save_pretrained(folder, max_shard_size="60KB")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=family.bos,
        eos_token=family.ends[0],
        clean_up_tokenization_spaces=False,
        chat_template=family.template,
    ).save_pretrained(folder)
    _write(folder / "config.json", content)  # save_pretrained has rewritten it in today's keys
    ends = [ids[end] for end in family.ends]
    _write(folder / "generation_config.json", {**family.generation, "eos_token_id": ends if len(ends) > 1 else ends[0]})
    return folder


def make_hub_cache(name: str, root: Path, commit: str = "0123456789abcdef0123456789abcdef01234567") -> Path:
    """A hub cache that holds one of the five under its hub id; the snapshot's folder."""
    repository = root / ("models--" + PAPER_MODELS[name].replace("/", "--"))
    snapshot = make_checkpoint(name, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    return snapshot


def _random_model(folder: Path, ends: list[int], seed: int) -> Any:
    """Attention sharp enough for argmaxes to be clear, and a text that meets every end now and then."""
    config = AutoConfig.from_pretrained(folder)
    torch.manual_seed(seed)
    hf = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for parameter_name, parameter in hf.named_parameters():
            if "norm" not in parameter_name:
                parameter.normal_(std=0.12)
        unembedding = hf.get_output_embeddings().weight
        unembedding[300:308] *= 2.5
        unembedding[ends] *= 3.0
    return hf.to(config.dtype)


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2))


def _byte_bpe(family: Family) -> Tokenizer:
    """Byte BPE on words; Llama 3's adds BOS by itself although its template writes one."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(WORDS, behavior="isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    train(tokenizer, special=list(family.special), initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    byte_level = processors.ByteLevel(trim_offsets=False)
    tokenizer.post_processor = (
        processors.Sequence([byte_level, _bos(tokenizer, family.bos)]) if family.bos and family.adds_bos else byte_level
    )
    return tokenizer


def _sentencepiece(family: Family) -> Tokenizer:
    """BPE with byte fallback on ▁-words, a space put before the text (Llama 2)."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", behavior="merged_with_next")
    train(tokenizer, special=[*family.special, *byte_tokens()])
    tokenizer.pre_tokenizer = None
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(content=" ", left=1)]
    )
    tokenizer.post_processor = _bos(tokenizer, family.bos)
    return tokenizer


def _bos(tokenizer: Tokenizer, bos: str | None) -> processors.PostProcessor:
    return processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))])


_SIZE = {"intermediate_size": 96, "num_hidden_layers": 2, "hidden_act": "silu", "initializer_range": 0.02, "use_cache": True}
_LLAMA_3_SPECIAL = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>")
_SAMPLED = {"do_sample": True, "temperature": 0.6, "top_p": 0.9}


def _llama_3(factor: float, tied: bool, heads: int) -> Family:
    scaling = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"}
    return Family(
        config={
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "head_dim": 16,
            "max_position_embeddings": 131_072,
            "rms_norm_eps": 1e-5,
            "rope_theta": 500_000.0,
            "rope_scaling": {"factor": factor, **scaling},
            "tie_word_embeddings": tied,
        },
        generation=_SAMPLED,
        special=_LLAMA_3_SPECIAL,
        bos="<|begin_of_text|>",
        ends=("<|eot_id|>", "<|end_of_text|>", "<|eom_id|>"),
        template=LLAMA_3,
        tokenizer=_byte_bpe,
        heads=heads,
        kv_heads=2,
    )


FAMILIES = {
    "llama3.1-8b": _llama_3(factor=8.0, tied=False, heads=8),
    "llama3.2-3b": _llama_3(factor=32.0, tied=True, heads=6),
    "qwen3-8b": Family(
        config={
            "architectures": ["Qwen3ForCausalLM"],
            "model_type": "qwen3",
            "head_dim": 16,
            "attention_bias": False,
            "max_position_embeddings": 40_960,
            "max_window_layers": 2,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1_000_000,
            "rope_scaling": None,
            "sliding_window": None,
            "use_sliding_window": False,
            "tie_word_embeddings": False,
        },
        generation={**_SAMPLED, "top_k": 20, "top_p": 0.95},
        special=("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"),
        bos=None,
        ends=("<|im_end|>", "<|endoftext|>"),
        template=QWEN_3,
        tokenizer=_byte_bpe,
        heads=8,
        kv_heads=2,
    ),
    "llama2-13b": Family(
        config={
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "max_position_embeddings": 4096,
            "pretraining_tp": 1,
            "rms_norm_eps": 1e-5,
            "rope_scaling": None,
            "tie_word_embeddings": False,
        },
        generation={**_SAMPLED, "max_length": 4096, "pad_token_id": 0},
        special=("<unk>", "<s>", "</s>"),
        bos="<s>",
        ends=("</s>",),
        template=LLAMA_2,
        tokenizer=_sentencepiece,
        heads=5,
        kv_heads=5,
        dtype="float16",
    ),
    "phi4-mini": Family(
        config={
            "architectures": ["Phi3ForCausalLM"],
            "model_type": "phi3",
            "auto_map": {"AutoConfig": "configuration_phi3.Phi3Config", "AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM"},
            "max_position_embeddings": 131_072,
            "original_max_position_embeddings": 4096,
            "pad_token_id": 0,
            "partial_rotary_factor": 0.75,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10_000.0,
            "rope_scaling": {
                "type": "longrope",
                "short_factor": [1.0 + 0.1 * i for i in range(6)],
                "long_factor": [1.5 + 0.3 * i for i in range(6)],
            },
            "sliding_window": 262_144,
            "tie_word_embeddings": True,
        },
        generation={"pad_token_id": 0},
        special=("<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
        bos="<|endoftext|>",
        adds_bos=False,
        ends=("<|end|>", "<|endoftext|>"),
        template=PHI_4,
        tokenizer=_byte_bpe,
        heads=6,
        kv_heads=2,
    ),
}
