"""Labels of clusters, by which samples are drawn together."""

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


def shuffled_clusters(clusters: Clusters | None, n_samples: int, seed: int = 0) -> list[list[int]]:
    """The samples of each cluster, clusters in random order: dealt out, they keep those of one label together.

    Raises:
        InputError: not one label a sample.
    """
    members: dict[int, list[int]] = {}
    for sample, cluster in enumerate(cluster_index(clusters, n_samples).tolist()):
        members.setdefault(cluster, []).append(sample)
    return [members[cluster] for cluster in np.random.default_rng(seed).permutation(len(members)).tolist()]
