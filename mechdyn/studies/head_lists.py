"""Published or own lists of heads, read by name and held against each other. No model is run: files go in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mechdyn.errors import InputError
from mechdyn.heads import FORMAT, RankedHeads, read_heads, shown
from mechdyn.stats.head_lists import TOP, Clusters, Overlap, RankCorrelation, clusters, jaccard_matrix, overlap, rank_correlation


@dataclass(frozen=True)
class ListPair:
    """How far two lists agree."""

    first: str
    second: str
    overlap: Overlap
    correlation: RankCorrelation


@dataclass(frozen=True, eq=False)
class Comparison:
    """Lists of heads of models of one shape, and how far every two of them agree.

    Attributes:
        lists: by name, in the order given.
        k: how many heads of each were compared; of a shorter list, all.
        pairs: every two, in the same order.
        jaccards: the Jaccard of every two.
        clusters: which of them are alike; None of two lists.
    """

    lists: Mapping[str, RankedHeads]
    k: int
    pairs: tuple[ListPair, ...]
    jaccards: Float[np.ndarray, "list list"]
    clusters: Clusters | None


def named_lists(texts: Sequence[str]) -> dict[str, RankedHeads]:
    """Lists by name from `FILE`, `NAME=FILE` and `FILE:format=FORMAT`, as a command line has them; the file's name where none is given.

    Raises:
        InputError: a file that is no list of heads, or two lists of one name.
    """
    lists: dict[str, RankedHeads] = {}
    for text in texts:
        name, ranked = _named(text)
        if name in lists:
            raise InputError(f"two lists are called {shown(name)}; name them: NAME={text.removeprefix(f'{name}=')}")
        lists[name] = ranked
    return lists


def of_one_shape(lists: Mapping[str, RankedHeads], shape: tuple[int, int] | None = None) -> dict[str, RankedHeads]:
    """The lists with the model's shape: that which is given, else that of the first list that knows its own.

    Raises:
        InputError: no list knows a shape, or one has another; it is named.
    """
    known = {name: (ranked.n_layers, ranked.n_heads) for name, ranked in lists.items() if ranked.n_layers is not None}
    if shape is None and not known:
        raise InputError("none of these lists says how many layers and heads the model has; give it: --shape 32x32")
    n_layers, n_heads = shape or next(iter(known.values()))
    fitted = {}
    for name, ranked in lists.items():
        try:
            fitted[name] = ranked.fit(n_layers or 0, n_heads or 0)
        except InputError as error:
            raise InputError(f"{shown(name)} cannot be compared: {error}{_groups(ranked, n_heads or 0)}") from error
    return fitted


def compare_lists(lists: Mapping[str, RankedHeads], k: int = TOP) -> Comparison:
    """Hold every two lists against each other.

    Raises:
        InputError: fewer than two lists, or lists of different shapes (see `of_one_shape`).
    """
    if len(lists) < 2:
        raise InputError(f"at least two lists are compared, got {len(lists)}")
    pairs = tuple(
        ListPair(first, second, overlap(lists[first], lists[second], k), rank_correlation(lists[first], lists[second]))
        for first, second in combinations(lists, 2)
    )
    jaccards = jaccard_matrix(list(lists.values()), k)
    return Comparison(lists, k, pairs, jaccards, clusters(jaccards) if len(lists) > 2 else None)


def path_and_format(text: str) -> tuple[str, str | None]:
    """The file that such a text names, and the layout where it says one."""
    path, _, layout = text.partition(FORMAT)
    name, equals, rest = path.partition("=")
    return (rest if equals and name and not Path(path).exists() else path), layout or None


def _named(text: str) -> tuple[str, RankedHeads]:
    path, layout = path_and_format(text)
    name = text.removesuffix(f"{FORMAT}{layout}").removesuffix(path).removesuffix("=")
    return name or Path(path).stem + (f" ({layout})" if layout else ""), read_heads(path, layout)


def _groups(ranked: RankedHeads, n_heads: int) -> str:
    """The remedy where a list seems to be of key-value heads."""
    few = ranked.n_heads or 0
    if few and few < n_heads and n_heads % few == 0:
        return f"; if its {few} are key-value heads, read it as FILE:format=duoattention:query_heads={n_heads}"
    return ""
