"""Clusters by label, and by what samples share."""

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mechdyn.errors import InputError
from mechdyn.stats.clusters import cluster_index, connected


def test_labels_are_numbered_as_they_come():
    assert cluster_index(["b", "a", "b"], 3).tolist() == [0, 1, 0]
    assert cluster_index(None, 3).tolist() == [0, 1, 2]
    with pytest.raises(InputError, match="one label a sample, got 2 labels for 3 samples"):
        cluster_index([0, 1], 3)


def test_a_chain_of_shared_things_is_one_cluster():
    shared = [["needle 1", "text 1"], ["needle 1", "text 2"], ["needle 3", "text 2"], ["needle 4", "text 4"], []]
    assert connected(shared).tolist() == [0, 0, 0, 1, 2]


@pytest.mark.parametrize("seed", range(5))
def test_they_are_the_components_of_the_graph_of_samples_and_things(seed):
    rng = np.random.default_rng(seed)
    shared = [[f"thing {thing}" for thing in rng.choice(40, rng.integers(0, 3), replace=False)] for _ in range(30)]
    edges = [(place, 30 + int(thing.split()[1])) for place, things in enumerate(shared) for thing in things]
    graph = coo_array((np.ones(len(edges)), np.array(edges).T), shape=(70, 70))
    expected = connected_components(graph, directed=False)[1][:30]
    found = connected(shared)
    assert ((found[:, None] == found) == (expected[:, None] == expected)).all()
