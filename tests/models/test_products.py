"""Products with the weights, each way against PyTorch's own."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import linear

from mechdyn.errors import InputError
from mechdyn.models.load import load_model
from mechdyn.models.products import ShapedLinear, plain_products, product, products_of, use_own_products


@pytest.mark.parametrize("n_rows", [1, 2, 3, 4, 5, 40])
@pytest.mark.parametrize(("d_out", "d_in"), [(576, 192), (250, 300), (1536, 64)])
@pytest.mark.parametrize("biased", [False, True])
def test_every_shape_gives_the_product(n_rows: int, d_out: int, d_in: int, biased: bool) -> None:
    generator = torch.Generator().manual_seed(n_rows * d_out)
    weight = torch.randn(d_out, d_in, generator=generator)
    bias = torch.randn(d_out, generator=generator) if biased else None
    for rows in (torch.randn(n_rows, 1, d_in, generator=generator), torch.randn(d_in, n_rows, generator=generator).T):
        exact = linear(rows.double(), weight.double(), None if bias is None else bias.double())
        found = product(rows, weight, bias)
        assert found.shape == exact.shape and found.is_contiguous()
        torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-4)
        assert torch.equal(found, product(rows, weight, bias))


def test_no_row_and_gradients_go_pytorchs_way() -> None:
    weight = torch.randn(256, 256, requires_grad=True)
    rows = torch.randn(1, 256)
    assert product(torch.empty(0, 256), weight).shape == (0, 256)
    product(rows, weight).sum().backward()
    assert weight.grad is not None and torch.allclose(weight.grad, rows.expand(256, -1))


def test_plain_products_are_pytorchs_bit_for_bit() -> None:
    weight, rows = torch.randn(512, 384), torch.randn(3, 384)
    with plain_products():
        assert torch.equal(product(rows, weight), linear(rows, weight))


def test_a_models_own_linear_layers_are_switched_and_no_others() -> None:
    class Other(nn.Linear):
        pass

    model = nn.Sequential(nn.Linear(4, 4), Other(4, 4), nn.LayerNorm(4))
    weight = model[0].weight
    use_own_products(model)
    assert [type(module) for module in model] == [ShapedLinear, Other, nn.LayerNorm]
    assert copy.deepcopy(model)[0](torch.ones(1, 4)).shape == (1, 4) and model[0].weight is weight


def test_the_twin_has_them_and_the_reference_has_not() -> None:
    mini = load_model("mini")
    kinds = {type(module) for module in mini.twin.modules() if isinstance(module, nn.Linear)}
    assert kinds == {ShapedLinear}
    assert not any(isinstance(module, ShapedLinear) for module in mini.bridge.modules())


def test_the_environment_leaves_all_to_pytorch(monkeypatch) -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    monkeypatch.setenv("MECHDYN_PRODUCTS", "plain")
    use_own_products(model)
    assert type(model[0]) is nn.Linear
    monkeypatch.setenv("MECHDYN_PRODUCTS", "fast")
    with pytest.raises(InputError, match="MECHDYN_PRODUCTS must be shape or plain, got 'fast'"):
        use_own_products(model)


def test_the_way_of_a_models_products_is_told(monkeypatch) -> None:
    layers = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.LayerNorm(4))
    assert products_of(layers) == "PyTorch's (its linear layers are of a kind of their own)"
    use_own_products(layers)
    assert products_of(layers) == "by their shape, in 2 of 2 linear layers"
    assert products_of(layers.bfloat16()) == "PyTorch's (not float32 on the CPU)"
    assert products_of(nn.Sequential(nn.LayerNorm(4))) == "PyTorch's (no linear layer)"
    monkeypatch.setenv("MECHDYN_PRODUCTS", "plain")
    plain = nn.Sequential(nn.Linear(4, 4))
    use_own_products(plain)
    assert products_of(plain) == "PyTorch's (MECHDYN_PRODUCTS=plain)"
