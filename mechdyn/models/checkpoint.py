"""Reading a checkpoint with transformers: configuration, tokenizer and weights, from a folder or the hub, each failure in one line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from mechdyn.errors import InputError, UnsupportedModelError
from mechdyn.models.context import context_of, pin_longrope
from mechdyn.models.failures import first_line, is_out_of_memory, load_error
from mechdyn.models.gguf import gguf_config, kept_folder
from mechdyn.models.revision import folder_revision
from mechdyn.models.source import gguf_file_of, gguf_revision, source_of
from mechdyn.models.weights import check_generation_config, check_weights
from mechdyn.tasks.chat import require_offsets

DeviceMap = str | dict[str, int | str | torch.device]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A Hugging Face causal model in evaluation mode, its raw tokenizer and what identifies both."""

    hf: Any
    tokenizer: Any
    revision: str


def read_checkpoint(name: str, dtype: torch.dtype | str, max_length: int | None, device_map: DeviceMap | None = None) -> Checkpoint:
    """Read the checkpoint behind a name; configuration, tokenizer and files are checked before any weight is read.

    Raises:
        InputError: nothing of that name, a length beyond the model's context, or files that are missing or damaged.
        UnsupportedModelError: no causal language model that transformers has, no fast tokenizer, or attention that cannot be traced.
    """
    file = gguf_file_of(name)
    source = str(kept_folder(name, file, dtype)) if file else source_of(name)
    config = read_config(source if file else name)
    pin_longrope(config, max_length)
    context_of(name, config.get_text_config(), max_length)
    tokenizer = read_tokenizer(name, source)
    hf = _read_weights(name, source, config, dtype, device_map)
    return Checkpoint(hf.eval(), tokenizer, _revision(name, file, source))


def read_config(name: str) -> Any:
    """The configuration behind a name, as published."""
    config = _config(name)
    if type(config) not in AutoModelForCausalLM._model_mapping:
        raise UnsupportedModelError(
            f"{name} is a {config.model_type} model; a decoder that generates text is needed (a causal language model of transformers)"
        )
    return config


def _config(name: str) -> Any:
    if file := gguf_file_of(name):
        return gguf_config(name, file)
    source = source_of(name)
    try:
        return AutoConfig.from_pretrained(source, trust_remote_code=False)
    except Exception as error:
        raise load_error(name, source, error) from error


def read_tokenizer(name: str, source: str) -> Any:
    """The tokenizer in a folder or under a hub id; `name` is what the model was asked for by.

    Raises:
        InputError: it is missing or damaged.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except Exception as error:  # tokenizers raises bare Exception for a damaged tokenizer.json
        if "backend tokenizer" in str(error):
            raise InputError(f"model {name} has no tokenizer; put tokenizer.json and tokenizer_config.json beside its weights") from error
        raise InputError(f"the tokenizer of {name} cannot be loaded: {first_line(error)}") from error
    require_offsets(tokenizer)
    return tokenizer


def _read_weights(name: str, source: str, config: Any, dtype: torch.dtype | str, device_map: DeviceMap | None) -> Any:
    folder = Path(source)
    if folder.is_dir():
        check_generation_config(name, folder)
        check_weights(name, folder)
    try:
        hf, loading = AutoModelForCausalLM.from_pretrained(
            source,
            config=config,
            dtype=dtype,
            device_map=device_map,
            attn_implementation="eager",  # some architectures choose their attention for good here, and the bridge needs eager
            output_loading_info=True,
            trust_remote_code=False,
        )
    except Exception as error:
        if is_out_of_memory(error):
            raise
        if isinstance(error, SafetensorError) and not folder.is_dir():
            check_weights(name, _snapshot(source))  # names the damaged file
        raise load_error(name, source, error) from error
    if not folder.is_dir():
        check_generation_config(name, _snapshot(source))
    if loading["missing_keys"]:
        missing = sorted(loading["missing_keys"])
        raise InputError(f"model {name} lacks {len(missing)} of its weights ({missing[0]} ...); get the missing safetensors files")
    return hf


def _revision(name: str, file: Path | None, source: str) -> str:
    if file is not None:
        return gguf_revision(name, file)
    return folder_revision(Path(source)) if Path(source).is_dir() else _snapshot(source).name


def _snapshot(source: str) -> Path:
    """The folder of a hub repository in the local cache; its name is the commit."""
    return Path(str(try_to_load_from_cache(source, "config.json"))).parent
