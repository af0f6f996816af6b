"""The loss against an independent reading of its definition (Ridnik et al. 2021, Eq. 4 to 7), label by label."""

import math
import random

import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.probes.mlp import CROSS_ENTROPY, AsymmetricLoss


def label_loss(logit, label, gamma_negative, gamma_positive, clip, eps):
    p = 1 / (1 + math.exp(-logit))
    if label:
        return -((1 - p) ** gamma_positive) * math.log(max(p, eps))
    shifted = max(p - clip, 0.0)
    return -(shifted**gamma_negative) * math.log(max(1 - shifted, eps))


@pytest.mark.parametrize("seed", range(30))
def test_equals_the_published_definition(seed):
    draw = random.Random(seed)
    gamma_negative, gamma_positive = draw.choice([0.0, 0.5, 1.0, 4.0, draw.uniform(0, 6)]), draw.choice([0.0, 1.0, draw.uniform(0, 4)])
    clip, eps = draw.choice([0.0, 0.05, draw.uniform(0, 0.5)]), 1e-8
    rows, heads = draw.randint(1, 9), draw.randint(1, 12)
    scale = draw.choice([1, 5, 15])
    logits = [[draw.gauss(0, scale) for _ in range(heads)] for _ in range(rows)]
    labels = [[float(draw.random() < 0.2) for _ in range(heads)] for _ in range(rows)]
    pairs = [(x, y) for xs, ys in zip(logits, labels, strict=True) for x, y in zip(xs, ys, strict=True)]
    expected = sum(label_loss(x, y, gamma_negative, gamma_positive, clip, eps) for x, y in pairs)
    inputs = torch.tensor(logits, dtype=torch.float64), torch.tensor(labels, dtype=torch.float64)
    loss = AsymmetricLoss(gamma_negative, gamma_positive, clip, eps)
    assert float(loss(*inputs)) == pytest.approx(expected, rel=1e-6, abs=1e-6)
    per_row = AsymmetricLoss(gamma_negative, gamma_positive, clip, eps, per_row=True)
    assert float(per_row(*inputs)) == pytest.approx(expected / rows, rel=1e-6, abs=1e-6)
    assert float(loss(inputs[0].float(), inputs[1].float())) == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 4.0])
def test_gradients_are_finite_at_extreme_logits_and_equal_finite_differences(gamma):
    loss = AsymmetricLoss(gamma_negative=gamma, gamma_positive=gamma)
    extreme = torch.tensor([[-200.0, 200.0, 0.0]], requires_grad=True)
    for target in (torch.zeros(1, 3), torch.ones(1, 3)):
        (gradient,) = torch.autograd.grad(loss(extreme, target), extreme)
        assert gradient.isfinite().all()
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(4, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    target = (torch.rand(4, 3, generator=generator) < 0.5).double()
    assert torch.autograd.gradcheck(lambda x: loss(x, target), (logits,))


def test_without_focus_it_is_binary_cross_entropy():
    generator = torch.Generator().manual_seed(0)
    logits, target = torch.randn(6, 4, generator=generator), (torch.rand(6, 4, generator=generator) < 0.5).float()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, target) * 4
    assert torch.allclose(CROSS_ENTROPY(logits, target), expected, atol=1e-5)


def test_easy_negatives_cost_nothing():
    assert float(AsymmetricLoss()(torch.full((2, 3), -4.0), torch.zeros(2, 3))) == 0.0


@pytest.mark.parametrize("options", [{"gamma_negative": -1.0}, {"clip": 1.0}, {"eps": 0.0}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(InputError, match=r"both gammas 0 or more, a clip in .* and an eps in"):
        AsymmetricLoss(**options)
