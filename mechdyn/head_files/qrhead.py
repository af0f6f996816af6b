"""The layouts of QRHead (princeton-pli/QRHead): a YAML configuration with the best heads in order, and the JSON of its detection."""

import json
import math
import re
from typing import Any

import yaml

from mechdyn.errors import InputError
from mechdyn.head_files.json_object import is_finite_number, json_list, peek_list_or_object
from mechdyn.head_files.keys import head_of, is_like_a_key, key_of, known_scores, shape_of
from mechdyn.heads import Head, RankedHeads, head_format, rank_heads, shown

_SET, _MODEL, _BASE = "attn_head_set", "model_name_or_path", "model_base_class"
_LINE = re.compile(rf"""^["']?{_SET}["']?\s*:""", re.MULTILINE)
_ALL = "full_heads"


@head_format("qrhead")
class QRHead:
    """`attn_head_set: "13-18,13-21,…"`, best first, and the model; no scores, and no shape."""

    def recognises(self, content: str) -> bool:
        """A line of YAML with the set of heads."""
        return _LINE.search(content) is not None

    def read(self, content: str) -> RankedHeads:
        """The heads in their order, without scores."""
        found = _yaml(content)
        text = found.get(_SET)
        if text == _ALL:
            raise InputError(f"{_SET} is {_ALL!r}, all heads of the model, which is no list; give one that names heads")
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"{_SET} must be text such as '13-18,13-21', got {shown(text)}")
        heads = tuple(head_of(key.strip()) for key in text.split(","))
        return RankedHeads(heads, (math.nan,) * len(heads), statistic="rank as QRHead lists it", model=str(found.get(_MODEL) or ""))

    def write(self, ranked: RankedHeads) -> str:
        """All heads of the ranking; take its `.first(16)` for as many as are published."""
        keys = ",".join(map(key_of, ranked.heads))
        names = {_BASE: ranked.model.rpartition("/")[2], _MODEL: ranked.model}
        lines = [f'{_SET}: "{keys}" # top{len(ranked.heads)}', *(f"{name}: {json.dumps(text)}" for name, text in names.items())]
        return "\n".join(lines) + "\n"


@head_format("qrhead-scores")
class QRHeadScores:
    """What QRHead's detection prints: `[["13-18", 0.41], …]`, best first."""

    def recognises(self, content: str) -> bool:
        """A list whose first entry is a key and something beside it."""
        found = peek_list_or_object(content)
        return isinstance(found, list) and bool(found) and isinstance(found[0], list) and bool(found[0]) and is_like_a_key(found[0][0])

    def read(self, content: str) -> RankedHeads:
        """Every head by its score."""
        rows = [_row(row) for row in json_list(content)]
        n_layers, n_heads = shape_of({head for head, _ in rows})
        return rank_heads(rows, n_layers, n_heads, "QRHead score")

    def write(self, ranked: RankedHeads) -> str:
        """In the order of the ranking."""
        return json.dumps([[key_of(head), score] for head, score in known_scores(ranked, "qrhead-scores").items()])


def _yaml(content: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(content)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"it is not YAML ({' '.join(str(error).split())[:120]})") from error
    if not isinstance(found, dict):
        raise InputError(f"YAML with a line {_SET!r} is wanted, got {type(found).__name__}")
    return found


def _row(row: Any) -> tuple[Head, float]:
    if not isinstance(row, list) or len(row) != 2:
        raise InputError(f"an entry is [key, score], such as ['13-18', 0.41], got {shown(row)}")
    head = head_of(row[0])
    if not is_finite_number(row[1]):
        raise InputError(f"the score of the head {row[0]!r} must be a number, got {shown(row[1])}")
    return head, float(row[1])
