"""Clusters against a search by hand, and resampling of clusters through their sums."""

import numpy as np

from mechdyn.stats.clusters import clusters_by_shared


def by_hand(shared):
    """Joins groups for as long as two of them have a thing in common that not all samples have."""
    common = set.intersection(*map(set, shared))
    groups = [({index}, set(things) - common) for index, things in enumerate(shared)]
    joined = True
    while joined:
        joined = False
        for i, (ours, things) in enumerate(groups):
            for j in range(i + 1, len(groups)):
                if things & groups[j][1]:
                    groups[i] = (ours | groups[j][0], things | groups[j][1])
                    del groups[j]
                    joined = True
                    break
            if joined:
                break
    return {frozenset(members) for members, _ in groups}


def parts(clusters):
    return {frozenset(np.flatnonzero(clusters == number).tolist()) for number in set(clusters.tolist())}


def test_samples_that_share_a_thing_are_together():
    rng = np.random.default_rng(3)
    for n_things in (4, 20, 60):
        shared = [[("needle", int(a)), ("haystack", int(b)), "prompt"] for a, b in rng.integers(0, n_things, (30, 2))]
        assert parts(clusters_by_shared(shared)) == by_hand(shared)


def test_samples_that_share_nothing_or_everything_are_each_by_themselves():
    assert clusters_by_shared([[1], [2], [3]]).tolist() == [0, 1, 2]
    assert sorted(clusters_by_shared([["one text"]] * 3).tolist()) == [0, 1, 2]
    assert clusters_by_shared([[], []]).tolist() == [0, 1]
