"""Labels of clusters, numbered."""

import pytest

from mechdyn.errors import InputError
from mechdyn.stats.labels import cluster_index


def test_labels_are_numbered_as_they_come():
    assert cluster_index(["b", "a", "b"], 3).tolist() == [0, 1, 0]
    assert cluster_index(None, 3).tolist() == [0, 1, 2]
    with pytest.raises(InputError, match="one label a sample, got 2 labels for 3 samples"):
        cluster_index([0, 1], 3)
