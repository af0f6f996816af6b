"""Random heads as a control of listed ones: as many, drawn once, and surely none of the listed.

Published code means to do the same and does not: it looks for a (layer, head) tuple in a list of lists, which is never found, so that
"random non-retrieval heads" may be the listed ones (Wu et al. 2024, DeCoRe). `leak` says how far that goes.
"""

import random
from dataclasses import dataclass
from math import comb

from mechdyn.errors import InputError
from mechdyn.heads import Head, HeadSet

DRAWS = 10
"""Random lists where nothing else is asked for."""


@dataclass(frozen=True)
class Leak:
    """What a list drawn from all heads, the listed ones too, would share with the list: `expected` heads, and any with this probability."""

    expected: float
    any: float


def leak(k: int, n_listed: int, total: int) -> Leak:
    """Of `k` heads drawn from `total`, none twice, `n_listed` being listed: k · n / N expected, and 1 − C(N − n, k) / C(N, k)."""
    return Leak(k * n_listed / total, 1 - comb(total - n_listed, k) / comb(total, k))


def random_lists(k: int, excluded: HeadSet, n_draws: int = DRAWS, seed: int = 0) -> tuple[HeadSet, ...]:
    """`n_draws` lists of `k` heads each, drawn from all of the model's but the excluded; the same seed draws the same.

    Raises:
        InputError: the model has fewer than `k` other heads.
    """
    left = _left(excluded)
    if len(left) < k:
        total = len(left) + len(excluded)
        raise InputError(f"{k} random heads are wanted beside {len(excluded)} excluded ones, and the model has {total} in all; list fewer")
    return tuple(_shaped(random.Random(f"lists-{seed}-{draw}").sample(left, k), excluded) for draw in range(n_draws))


def layer_matched_lists(listed: HeadSet, excluded: HeadSet, n_draws: int = DRAWS, seed: int = 0) -> tuple[HeadSet, ...]:
    """The same with as many heads in each layer as are listed there; where a layer has too few others, all of these, hence fewer."""
    wanted: dict[int, int] = {}
    for head in listed:
        wanted[head.layer] = wanted.get(head.layer, 0) + 1
    others: dict[int, list[Head]] = {layer: [] for layer in wanted}
    for head in _left(excluded):
        if head.layer in wanted:
            others[head.layer].append(head)
    lists = []
    for draw in range(n_draws):
        rng = random.Random(f"layer-lists-{seed}-{draw}")
        lists.append([head for layer, n in wanted.items() for head in rng.sample(others[layer], min(n, len(others[layer])))])
    return tuple(_shaped(heads, excluded) for heads in lists)


def _left(excluded: HeadSet) -> list[Head]:
    """All heads of the model but the excluded, in order."""
    return list(HeadSet.from_mask(~excluded.mask()))


def _shaped(heads: list[Head], like: HeadSet) -> HeadSet:
    return HeadSet(frozenset(heads), like.n_layers, like.n_heads)
