"""What layouts share that hold a score matrix: a list for each layer, with a number for each head."""

from typing import Any

from mechdyn.errors import InputError
from mechdyn.head_files.json_object import count_of, is_finite_number
from mechdyn.head_files.keys import known_scores
from mechdyn.heads import Head, RankedHeads, rank_heads, shown


def read_matrix(found: dict[str, Any], name: str, statistic: str) -> RankedHeads:
    """The ranking of a matrix `name`, of the shape that `n_layers` and `n_heads` of the same object say.

    Raises:
        InputError: another shape, or what is no number; the message names layer and head.
    """
    n_layers, n_heads = count_of(found, "n_layers", needed=True), count_of(found, "n_heads", needed=True)
    rows = found[name]
    if not isinstance(rows, list) or len(rows) != n_layers:
        raise InputError(f"{name!r} must be a list for each of {n_layers} layers, got {shown(_size(rows))}")
    for layer, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != n_heads:
            raise InputError(f"{name!r} must have a score for each of {n_heads} heads, layer {layer} has {_size(row)}")
    cells = {Head(layer, head): score for layer, row in enumerate(rows) for head, score in enumerate(row)}
    for head, score in cells.items():
        if not is_finite_number(score):
            raise InputError(f"the score of {head} in {name!r} must be a number, got {shown(score)}")
    return rank_heads(((head, float(score)) for head, score in cells.items()), n_layers, n_heads, statistic)


def matrix_of(ranked: RankedHeads, format: str) -> list[list[float]]:
    """A list for each layer with each head's score.

    Raises:
        InputError: a ranking that does not name every head of a model, or a head without a score.
    """
    scores = known_scores(ranked, format)
    if ranked.n_layers is None or ranked.n_heads is None:
        raise InputError(f"the format {format} holds every head of a model, and this ranking says none; call .fit(n_layers, n_heads) first")
    heads = [[Head(layer, head) for head in range(ranked.n_heads)] for layer in range(ranked.n_layers)]
    missing = [head for row in heads for head in row if head not in scores]
    if missing:
        raise InputError(
            f"the format {format} holds every head of a model, this ranking lacks {len(missing)}, {missing[0]} the first; "
            "save it as mechdyn"
        )
    return [[scores[head] for head in row] for row in heads]


def _size(row: Any) -> str:
    return str(len(row)) if isinstance(row, list) else type(row).__name__
