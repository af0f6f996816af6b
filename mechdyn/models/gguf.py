"""GGUF files: which one a name means, what it holds, and keeping it as a folder that transformers reads in seconds.

Weights are unpacked by transformers (with the package `gguf`), never by code of ours; configuration, tokenizer and chat template come from
the file as well. What comes of it is kept in the user's cache as an ordinary Hugging Face folder, one for each file and dtype.
"""

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import transformers
from filelock import FileLock
from safetensors import SafetensorError
from tokenizers import pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from mechdyn.errors import InputError, MechdynError, UnsupportedModelError
from mechdyn.models.failures import first_line, is_out_of_memory
from mechdyn.models.revision import file_digest, user_cache
from mechdyn.models.source import gguf_revision
from mechdyn.tasks.chat import require_offsets

_KEPT_VERSION = 1
"""Of what is kept; another makes it anew."""
_KEPT_NOTE = "kept.json"
_HALF = {"F16": torch.float16, "BF16": torch.bfloat16}
_DIGIT_BY_DIGIT = ("smollm", "starcoder", "refact", "command-r")
"""Pre-tokenizers that take every digit by itself and then split as GPT-2 does. Transformers reads such files as GPT-2's, which cuts
spaces and newlines before a digit elsewhere than the model was trained with."""
_PROBE = "It’s 1.5 \"quoted\" 'words',\n\n  2 lines\twith été, 漢字 and 1,024 digits.\n"
_ANSWER = "0xANSWER0x"


def gguf_config(name: str, file: Path) -> Any:
    """The configuration that a GGUF file states, with the dtype that is the file's own."""
    kept = next((folder for folder in _kept_of(gguf_revision(name, file)) if _note(folder).get("own_dtype") and _is_whole(folder)), None)
    if kept is not None:
        return AutoConfig.from_pretrained(kept, trust_remote_code=False)
    _require_package(name)
    reader = _open(name, file)
    config = _read_with(AutoConfig, name, file)
    config.dtype = _own_dtype(reader)
    return config


def kept_folder(name: str, file: Path, dtype: torch.dtype | str) -> Path:
    """A Hugging Face folder of what a GGUF file holds, in the user's cache; made at first, which takes some seconds and `gguf`.

    Args:
        name: as the model was asked for, for messages.
        file: the GGUF file.
        dtype: what the weights are kept in; `"auto"` is the file's own where it holds half precision throughout, else float32.

    Raises:
        InputError: a file that is damaged or one part of several, no package `gguf`, or no room in the cache.
        UnsupportedModelError: an architecture or a tokenizer that transformers does not read from GGUF.
    """
    digest = gguf_revision(name, file)
    if isinstance(dtype, str):
        kept = next((folder for folder in _kept_of(digest) if _note(folder).get("own_dtype") and _is_whole(folder)), None)
        if kept is not None:
            return kept
    elif _is_whole(folder := _folder(digest, dtype)):
        return folder
    _require_package(name)
    reader = _open(name, file)
    own = _own_dtype(reader)
    chosen = own if isinstance(dtype, str) else dtype
    folder = _folder(digest, chosen)
    with _saying_no_room(name, folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if not _is_whole(folder):
                _keep(name, file, reader, chosen, folder, {"own_dtype": chosen == own, "sha256": digest})
    return folder


def end_of_turn(tokenizer: Any) -> int | None:
    """The special token that the chat template writes behind an answer; None without a template, or where it writes none."""
    if not getattr(tokenizer, "chat_template", None):
        return None
    from jinja2.exceptions import TemplateError

    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _ANSWER}]
    try:
        text = tokenizer.apply_chat_template(turns, tokenize=False)
    except TemplateError:
        return None
    _, found, behind = text.rpartition(_ANSWER)
    ids = tokenizer(behind.lstrip(), add_special_tokens=False)["input_ids"] if found else []
    known = tokenizer.added_tokens_decoder
    return int(ids[0]) if ids and ids[0] in known and known[ids[0]].special else None


def _require_package(name: str) -> None:
    if find_spec("gguf") is None:
        raise InputError(f"reading the GGUF file of {name} needs the package gguf: pip install 'mechdyn[gguf]'")


def _open(name: str, file: Path) -> Any:
    """The file's metadata and tensors, mapped; it is whole if all of them lie within it."""
    from gguf import GGUFReader

    try:
        reader = GGUFReader(file)
        architecture = _value(reader, "general.architecture")
    except Exception as error:  # numpy's and struct's, whatever a cut or foreign file makes of itself
        size = file.stat().st_size
        raise InputError(
            f"{file} of model {name} is cut short at {size} bytes or no GGUF file ({first_line(error)[:100]}); get the file again"
        ) from error
    if not isinstance(architecture, str):
        raise InputError(f"{file} of model {name} states no architecture; get the file again")
    if (parts := _value(reader, "split.count")) and parts > 1:
        raise InputError(f"{file} of model {name} is one of {parts} parts; join them with `llama-gguf-split --merge` and give the whole")
    return reader


def _value(reader: Any, key: str) -> Any:
    """A metadata value; None where the file has none."""
    field = reader.fields.get(key)
    return field.contents() if field is not None else None


def _own_dtype(reader: Any) -> torch.dtype:
    """Half precision where every matrix is kept in it, else float32, in which blocks are unpacked."""
    kinds = {tensor.tensor_type.name for tensor in reader.tensors} - {"F32"}
    return _HALF.get(kinds.pop(), torch.float32) if len(kinds) == 1 else torch.float32


def _read_with(auto_class: Any, name: str, file: Path, **options: Any) -> Any:
    """What one of transformers' classes reads from a GGUF file, and from nothing that lies beside it."""
    try:
        # A folder is wanted besides; the absolute path of the file stands by itself. Bars are drawn whatever transformers is told.
        with TemporaryDirectory() as nowhere, redirect_stderr(StringIO()):
            return auto_class.from_pretrained(nowhere, gguf_file=str(file.resolve()), trust_remote_code=False, **options)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        words = first_line(error)
        raise UnsupportedModelError(
            f"model {name}: transformers {transformers.__version__} does not read this GGUF file ({words[:150]}); "
            "choose one of an architecture that it reads, or the model's Hugging Face folder"
        ) from error


def _keep(name: str, file: Path, reader: Any, dtype: torch.dtype, folder: Path, note: dict[str, Any]) -> None:
    """Write the folder beside and move it to its place. Whatever lies beside is what a killed process left: only one holds the lock."""
    for left in folder.parent.glob(f"{folder.name}.part-*"):
        shutil.rmtree(left, ignore_errors=True)
    beside = folder.with_name(f"{folder.name}.part-{secrets.token_hex(4)}")
    try:
        _convert(name, file, reader, dtype, beside)
        files = {each.name: file_digest(each) for each in sorted(beside.iterdir())}
        content = {**_made_by(), **note, "file": file.name, "dtype": str(dtype).removeprefix("torch."), "files": files}
        (beside / _KEPT_NOTE).write_text(json.dumps(content, indent=2))
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _convert(name: str, file: Path, reader: Any, dtype: torch.dtype, folder: Path) -> None:
    """What the file holds, as `save_pretrained` writes it."""
    config = _read_with(AutoConfig, name, file)
    if type(config) not in AutoModelForCausalLM._model_mapping:
        raise UnsupportedModelError(f"{name} is a {config.model_type} model; a decoder that generates text is needed")
    _check_rotary(name, reader, config.get_text_config())
    tokenizer = _read_tokenizer(name, file, reader)
    unpack = {"quantization_config": transformers.GgufConfig(dequantize=True)} if hasattr(transformers, "GgufConfig") else {}
    hf, loading = _read_with(AutoModelForCausalLM, name, file, config=config, dtype=dtype, output_loading_info=True, **unpack)
    if missing := sorted(loading["missing_keys"]):
        raise InputError(f"{file} of model {name} lacks {len(missing)} of its weights ({missing[0]} ...); get the file again")
    hf.generation_config.eos_token_id = _ends(reader, tokenizer)
    hf.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _check_tokenizer(name, tokenizer, folder)


def _check_rotary(name: str, reader: Any, config: Any) -> None:
    """Refuse a file whose rotary scaling transformers leaves out without a word: such a model is another one at long contexts."""
    scaling = _value(reader, f"{_value(reader, 'general.architecture')}.rope.scaling.type")
    scaled = scaling not in (None, "none") or any(tensor.name.startswith("rope_f") for tensor in reader.tensors)
    parameters = getattr(config, "rope_parameters", None) or {}
    if scaled and parameters.get("rope_type", "default") == "default":
        raise UnsupportedModelError(
            f"the GGUF file of {name} scales its rotary table, which transformers does not read from GGUF; "
            "load the model's Hugging Face folder instead"
        )


def _read_tokenizer(name: str, file: Path, reader: Any) -> Any:
    tokenizer = _read_with(AutoTokenizer, name, file)
    require_offsets(tokenizer)
    if _value(reader, "tokenizer.ggml.pre") in _DIGIT_BY_DIGIT:
        split = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(split)
    return tokenizer


def _ends(reader: Any, tokenizer: Any) -> list[int]:
    """Every id that ends an answer: those that the file names, and the end of turn of its chat template."""
    named = [_value(reader, f"tokenizer.ggml.{key}_token_id") for key in ("eos", "eot", "eom")]
    return sorted({int(end) for end in (*named, end_of_turn(tokenizer)) if end is not None})


def _check_tokenizer(name: str, tokenizer: Any, folder: Path) -> None:
    """The tokenizer must come back as it was: the same ids of text and special tokens, the same template."""
    again = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    text = _PROBE + "".join(map(str, tokenizer.all_special_tokens)) + _PROBE
    was, comes = (
        (*(each(text, add_special_tokens=add)["input_ids"] for add in (False, True)), each.special_tokens_map, each.chat_template)
        for each in (tokenizer, again)
    )
    if was != comes:
        raise UnsupportedModelError(
            f"the tokenizer in the GGUF file of {name} is another after save_pretrained; load the model's Hugging Face folder instead"
        )


def _made_by() -> dict[str, Any]:
    return {"version": _KEPT_VERSION, "transformers": transformers.__version__}


def _folder(digest: str, dtype: torch.dtype) -> Path:
    return user_cache() / "gguf" / f"{digest[:32]}-{str(dtype).removeprefix('torch.')}"


def _kept_of(digest: str) -> list[Path]:
    """Folders of a file in any dtype."""
    return sorted((user_cache() / "gguf").glob(f"{digest[:32]}-*/"))


def _note(folder: Path) -> dict[str, Any]:
    """What was written about a kept folder; empty where there is none, or where other code made it."""
    try:
        note = json.loads((folder / _KEPT_NOTE).read_text())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) and _made_by().items() <= note.items() else {}


def _is_whole(folder: Path) -> bool:
    """Whether a kept folder is there with every byte that was written."""
    files = _note(folder).get("files") or {}
    try:
        return bool(files) and all(file_digest(folder / file) == digest for file, digest in files.items())
    except OSError:
        return False


@contextmanager
def _saying_no_room(name: str, folder: Path) -> Iterator[None]:
    """Where the cache cannot be written to, say so in one line.

    Raises:
        InputError: instead of the system's and safetensors' errors.
    """
    try:
        yield
    except MechdynError:
        raise
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)
        raise InputError(
            f"model {name} cannot be kept in {folder.parent} ({reason[:150]}); make room there, or set MECHDYN_CACHE to another folder"
        ) from error
