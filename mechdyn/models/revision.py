"""What identifies a local checkpoint: a hash over its content that stays quick for models of many gigabytes."""

import hashlib
import json
from pathlib import Path

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
