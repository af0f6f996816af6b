"""The weight files of a checkpoint: whether they are whole, and what identifies them."""

import hashlib
import json
from pathlib import Path

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


_SAMPLED_BYTES = 1 << 16


def folder_revision(folder: Path) -> str:
    """16 hex digits over config, tokenizer, template and the first 64 KiB of every weight tensor.

    Two checkpoints of one layout that differ in any tensor's first rows differ in it, so ablated or fine-tuned copies do; reading whole
    files would take minutes.
    """
    digest = hashlib.sha256()
    for name in ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (folder / name).is_file():
            digest.update(name.encode() + (folder / name).read_bytes())
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as stream:
            header_size = int.from_bytes(stream.read(8), "little")
            header = stream.read(header_size)
            digest.update(header)
            for start, end in sorted(entry["data_offsets"] for name, entry in json.loads(header).items() if name != "__metadata__"):
                stream.seek(8 + header_size + start)
                digest.update(stream.read(min(_SAMPLED_BYTES, end - start)))
    return digest.hexdigest()[:16]
