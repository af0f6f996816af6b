"""What several layouts share: heads as `layer-head` keys, and the model's shape where a list names every head of one."""

import re
from collections.abc import Collection

from mechdyn.errors import InputError
from mechdyn.heads import Head, RankedHeads, Spread, rank_heads, shown

_KEY = re.compile(r"(0|[1-9][0-9]{0,8})-(0|[1-9][0-9]{0,8})")
_TWO_NUMBERS = re.compile(r"-?[0-9]+[^0-9]+[0-9]+")


def head_of(key: str) -> Head:
    """The head of a key such as `3-4`.

    Raises:
        InputError: a key of another form.
    """
    match = _KEY.fullmatch(key) if isinstance(key, str) else None
    if match is None:
        raise InputError(f"a head is written there as 'layer-head', such as '3-4', got {shown(key)}")
    return Head(int(match[1]), int(match[2]))


def key_of(head: Head) -> str:
    """`3-4` for L3H4."""
    return f"{head.layer}-{head.head}"


def is_like_a_key(key: object) -> bool:
    """Whether a text may be meant as such a key, right or wrong."""
    return isinstance(key, str) and _TWO_NUMBERS.fullmatch(key) is not None


def shape_of(heads: Collection[Head]) -> tuple[int, int] | tuple[None, None]:
    """Layers and heads a layer; unknown where the list leaves some out, since more may lie behind the last one."""
    n_layers, n_heads = (max(numbers) + 1 for numbers in zip(*heads, strict=True))
    return (n_layers, n_heads) if len(heads) == n_layers * n_heads else (None, None)


def ranked_by_mean(means: dict[Head, float], spreads: dict[Head, Spread] | None, *, statistic: str, model: str = "") -> RankedHeads:
    """Heads by their means; `n` is that of the spreads where all have one."""
    order = rank_heads(means.items(), *shape_of(means))
    counts = {spread.n for spread in spreads.values()} if spreads else set()
    return RankedHeads(
        order.heads,
        order.scores,
        order.n_layers,
        order.n_heads,
        statistic,
        model,
        n=counts.pop() if len(counts) == 1 else None,
        spread=tuple(spreads[head] for head in order.heads) if spreads else None,
    )


def known_scores(ranked: RankedHeads, format: str) -> dict[Head, float]:
    """Each head's score, in the order of the ranking.

    Raises:
        InputError: a head without a finite one.
    """
    for head, score in zip(ranked.heads, ranked.scores, strict=True):
        if not abs(score) < float("inf"):
            raise InputError(f"the format {format} holds a number for each head, {head} has none; save the ranking as mechdyn")
    return dict(zip(ranked.heads, ranked.scores, strict=True))
