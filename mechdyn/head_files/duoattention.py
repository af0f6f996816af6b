"""The layout of DuoAttention (mit-han-lab/duo-attention): a table of gates, a line a layer, a column a key-value head, tabs between.

Its gates say how much full attention a key-value head needs; negative ones, which training leaves, count as 0. Query heads share the
key-value head of their group: query head h has that of h // (query heads / key-value heads). So such a list is read as one of key-value
heads, unless it is told how many query heads a layer has (`duoattention:query_heads=32`); written with `duoattention:kv_heads=8`, a
key-value head gets the largest score of its group.

Beside the table lies config.json with what their code needs to load it: the sizes of sink and window, and the model.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from mechdyn.errors import InputError
from mechdyn.head_files.json_object import count_of, json_object, peek, text_of
from mechdyn.head_files.matrix import matrix_of
from mechdyn.heads import Head, RankedHeads, head_format, rank_heads, shown

_QUERY_HEADS = "num_attention_heads"
_TABLE = "full_attention_heads.tsv"


@head_format("duoattention")
@dataclass(frozen=True)
class DuoAttention:
    """Gates by key-value head, or spread over the query heads of each group.

    Attributes:
        query_heads: query heads a layer, for reading; what the file beside says, else the gates stay with the key-value heads.
        kv_heads: key-value heads a layer, for writing; as many as the ranking has heads a layer where left out.
        sink_size: tokens at the start that heads of a closed gate still see, written beside; theirs is 128.
        recent_size: last tokens that they see; theirs is 256.
    """

    query_heads: int | None = None
    kv_heads: int | None = None
    sink_size: int = 128
    recent_size: int = 256

    def recognises(self, content: str) -> bool:
        """A first line of numbers, tabs between, or several lines of one."""
        lines = content.splitlines()
        cells = lines[0].split("\t") if lines else []
        return all(map(_is_number, cells)) and (len(cells) > 1 or len(lines) > 1)

    def read(self, content: str) -> RankedHeads:
        """Every key-value head, or every query head, by its gate."""
        rows = [[_gate(layer, head, cell) for head, cell in enumerate(line.split("\t"))] for layer, line in enumerate(content.splitlines())]
        uneven = [layer for layer, row in enumerate(rows) if len(row) != len(rows[0])]
        if uneven:
            raise InputError(f"each layer needs as many gates as layer 0 ({len(rows[0])}), layer {uneven[0]} has {len(rows[uneven[0]])}")
        cells = ((Head(layer, head), gate) for layer, row in enumerate(rows) for head, gate in enumerate(row))
        ranked = rank_heads(cells, len(rows), len(rows[0]), statistic="DuoAttention gate of the key-value head")
        return spread_over_groups(ranked, self.query_heads) if self.query_heads else ranked

    def write(self, ranked: RankedHeads) -> str:
        """The table; numbers as numpy.savetxt writes them, which keeps them exactly."""
        narrowed = group_maximum(ranked, self.kv_heads) if self.kv_heads else ranked
        return "".join("\t".join(f"{gate:.18e}" for gate in row) + "\n" for row in matrix_of(narrowed, "duoattention"))

    def read_beside(self, ranked: RankedHeads, path: Path) -> RankedHeads:
        """Add the model that config.json names, and spread the gates over as many query heads as it says, if it does."""
        beside = _beside(path)
        if not beside.exists():
            return ranked
        try:
            config = json_object(beside.read_text(encoding="utf-8"))
            ranked = replace(ranked, model=text_of(config, "model_name"))
            query_heads = count_of(config, _QUERY_HEADS)
        except (InputError, OSError, ValueError) as error:
            raise InputError(f"{beside.name} beside it: {error}") from error
        return spread_over_groups(ranked, query_heads) if query_heads and not self.query_heads else ranked

    def write_beside(self, ranked: RankedHeads, path: Path) -> None:
        """Write what their code needs; of a list of query heads, how many there are as well.

        Raises:
            InputError: a config.json that is there and is of something else, such as a model.
        """
        beside = _beside(path)
        if beside.exists() and "sink_size" not in peek(beside.read_text(encoding="utf-8")):
            raise InputError(f"{shown(beside)} is there and not DuoAttention's, so it is not written over; choose another folder")
        config = {"model_name": ranked.model, "sink_size": self.sink_size, "recent_size": self.recent_size}
        if self.kv_heads and self.kv_heads != ranked.n_heads:
            config[_QUERY_HEADS] = ranked.n_heads or 0
        beside.write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")


def spread_over_groups(ranked: RankedHeads, query_heads: int) -> RankedHeads:
    """The scores of key-value heads for all query heads of each group.

    Raises:
        InputError: a number of query heads that is no multiple of the key-value heads, or a ranking without a shape.
    """
    group = _group(ranked, query_heads, ranked.n_heads)
    cells = (
        (Head(head.layer, group * head.head + member), score)
        for head, score in zip(ranked.heads, ranked.scores, strict=True)
        for member in range(group)
    )
    wide = rank_heads(cells, ranked.n_layers, query_heads, ranked.statistic)
    return replace(wide, model=ranked.model, n=ranked.n)


def group_maximum(ranked: RankedHeads, kv_heads: int) -> RankedHeads:
    """For each key-value head the largest score of the query heads of its group.

    Raises:
        InputError: a number of key-value heads that does not divide the query heads, or a ranking without a shape.
    """
    group = _group(ranked, ranked.n_heads, kv_heads)
    best: dict[Head, float] = {}
    for head, score in zip(ranked.heads, ranked.scores, strict=True):
        shared = Head(head.layer, head.head // group)
        best[shared] = max(score, best.get(shared, score))
    narrow = rank_heads(best.items(), ranked.n_layers, kv_heads, ranked.statistic)
    return replace(narrow, model=ranked.model, n=ranked.n)


def _group(ranked: RankedHeads, query_heads: int | None, kv_heads: int | None) -> int:
    """Query heads of a group."""
    if ranked.n_layers is None or query_heads is None or kv_heads is None:
        raise InputError("groups of heads need a ranking whose model's shape is known; call .fit(n_layers, n_heads) first")
    if not (isinstance(query_heads, int) and isinstance(kv_heads, int) and 0 < kv_heads <= query_heads and query_heads % kv_heads == 0):
        raise InputError(f"query heads are a multiple of the key-value heads, got {query_heads} query heads and {kv_heads} key-value heads")
    return query_heads // kv_heads


def _beside(path: Path) -> Path:
    """Where config.json lies: theirs in the folder of the table, that of a table of another name with this name before it."""
    return path.with_name("config.json" if path.name == _TABLE else f"{path.stem}.config.json")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _gate(layer: int, head: int, cell: str) -> float:
    if not _is_number(cell) or not abs(float(cell)) < float("inf"):
        raise InputError(f"the gate of layer {layer}, key-value head {head}, must be a number, got {shown(cell)}")
    return max(0.0, float(cell))
