"""The networks have the published widths, or those of the rule."""

import pytest
from torch import nn

from mechdyn.errors import InputError
from mechdyn.probes.mlp import PAPER_HIDDEN, MLPShape, mlp_shape


def widths(network):
    return [(layer.in_features, layer.out_features) for layer in network if isinstance(layer, nn.Linear)]


def test_the_papers_network():
    shape = mlp_shape("paper", 96, 80)
    assert shape.hidden == (8192, 4096, 4096)
    assert shape.dropout == 0.1


def test_auto_keeps_the_papers_proportions_and_never_exceeds_it():
    assert mlp_shape("auto", 4096, 1024).hidden == PAPER_HIDDEN
    assert mlp_shape("auto", 5120, 1600).hidden == PAPER_HIDDEN
    network = mlp_shape("auto", 128, 80).build()
    assert widths(network) == [(128, 256), (256, 128), (128, 128), (128, 80)]
    assert [layer.p for layer in network if isinstance(layer, nn.Dropout)] == [0.1, 0.1, 0.1]


def test_linear_has_no_hidden_layer():
    assert widths(mlp_shape("linear", 7, 3).build()) == [(7, 3)]


def test_what_cannot_be_built_is_refused():
    with pytest.raises(InputError, match="one of paper, auto, linear, got 'huge'"):
        mlp_shape("huge", 7, 3)
    with pytest.raises(InputError, match="at least 1 unit each and a dropout in"):
        MLPShape(7, 3, (0,))
