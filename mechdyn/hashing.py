"""Keys by content."""

import hashlib
import json
from typing import Any


def content_hash(content: Any) -> str:
    """16 hex digits of the SHA-256 of canonical JSON: the same content has the same key on every machine."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
