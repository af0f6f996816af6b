"""Which samples belong together: those that share a needle or a haystack depend on each other as the steps of one sample do."""

from collections.abc import Hashable, Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Int

from mechdyn.errors import InputError

Clusters: TypeAlias = Sequence[Hashable] | Int[np.ndarray, " _sample"]
"""A label for each sample; samples of one label are drawn together."""


def cluster_index(clusters: Clusters | None, n_samples: int) -> Int[np.ndarray, " sample"]:
    """The cluster of each sample, from 0 in the order in which labels first come; without labels each sample is one by itself.

    Raises:
        InputError: not one label a sample.
    """
    if clusters is None:
        return np.arange(n_samples)
    if len(clusters) != n_samples:
        raise InputError(f"clusters need one label a sample, got {len(clusters)} labels for {n_samples} samples")
    places: dict[Hashable, int] = {}
    return np.array([places.setdefault(label, len(places)) for label in clusters], dtype=np.int64)


def connected(shared: Sequence[Sequence[Hashable]]) -> Int[np.ndarray, " sample"]:
    """Clusters of samples of which any two are linked by a chain of samples with something in common.

    `shared` says of each sample what it has that others may have too, such as `("needle", 3)` and `("haystack", 7)`. Where two factors
    are shared, this is the coarser of the two groupings or one coarser still, so that no dependence crosses a cluster's border.
    """
    parent = list(range(len(shared)))

    def root(place: int) -> int:
        while parent[place] != place:
            place = parent[place]
        return place

    first: dict[Hashable, int] = {}
    for place, things in enumerate(shared):
        for thing in things:
            parent[root(place)] = root(first.setdefault(thing, place))
    return cluster_index([root(place) for place in range(len(shared))], len(shared))
