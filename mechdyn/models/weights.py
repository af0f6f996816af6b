"""The files of a checkpoint: whether they are there, whole and readable."""

import json
from pathlib import Path

from transformers import GenerationConfig

from mechdyn.errors import InputError

_INDEX = "model.safetensors.index.json"
_AGAIN = "download the file again"


def check_weights(name: str, folder: Path) -> None:
    """Refuse a folder whose safetensors are missing, cut short or damaged, naming the file.

    Checkpoints in another format (`pytorch_model.bin`) are left to transformers.

    Raises:
        InputError: no weights, an index without its shards or shards without their index, a file that is no safetensors or too short.
    """
    found = sorted(folder.glob("*.safetensors"))
    index = folder / _INDEX
    if index.is_file():
        wanted = _shards(name, index)
        missing = [file for file in wanted if not (folder / file).is_file()]
        if missing:
            raise InputError(f"model {name} lacks {len(missing)} of its {len(wanted)} weight files ({missing[0]}); download the rest")
        found = [folder / file for file in wanted]
    elif (folder / "model.safetensors").is_file():
        found = [folder / "model.safetensors"]
    elif found:
        raise InputError(f"model {name} has {len(found)} weight files ({found[0].name}) but no {_INDEX}; download it")
    elif not list(folder.glob("pytorch_model*.bin*")):
        raise InputError(f"model {name} has no weights: {folder} holds no model.safetensors; download the checkpoint again")
    for file in found:
        _check_file(name, file)


def _shards(name: str, index: Path) -> list[str]:
    try:
        return sorted(set(json.loads(index.read_text())["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"the weight index of model {name} ({index.name}) is damaged; {_AGAIN}") from error


def _check_file(name: str, file: Path) -> None:
    """A safetensors file is 8 bytes of header size, a JSON header, and the tensors that the header lists."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        header_size = int.from_bytes(stream.read(8), "little")
        if size < 8 or header_size > size - 8:
            raise InputError(f"weight file {file.name} of model {name} is cut short at {size} bytes or no safetensors; {_AGAIN}")
        try:
            entries = json.loads(stream.read(header_size))
            ends = [entry["data_offsets"][1] for key, entry in entries.items() if key != "__metadata__"]
        except (ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
            raise InputError(f"weight file {file.name} of model {name} is no safetensors: its header is damaged; {_AGAIN}") from error
    wanted = 8 + header_size + max(ends, default=0)
    if size != wanted:
        raise InputError(f"weight file {file.name} of model {name} has {size} bytes instead of {wanted}; {_AGAIN}")


def check_generation_config(name: str, folder: Path) -> None:
    """Refuse a `generation_config.json` that transformers would leave out without a word; a folder without one is fine.

    Raises:
        InputError: no JSON object, values that transformers does not take, or an end token that is no number.
    """
    file = folder / "generation_config.json"
    if not file.is_file():
        return
    remedy = "mend the file, or remove it to go without"
    try:
        values = json.loads(file.read_text())
        GenerationConfig.from_pretrained(folder)
    except Exception as error:
        reason = " ".join(str(error).split())[:150]
        raise InputError(f"{file.name} of model {name} is damaged ({reason}); {remedy}") from error
    ends = values.get("eos_token_id") if isinstance(values, dict) else None
    if not isinstance(values, dict):
        raise InputError(f"{file.name} of model {name} must hold a JSON object, got {type(values).__name__}; {remedy}")
    if ends is not None and any(type(end) is not int for end in (ends if isinstance(ends, list) else [ends])):
        raise InputError(f"eos_token_id in {file.name} of model {name} must be a token's number or a list of them, got {ends!r}; {remedy}")
