"""Controls change what they say they change, and put it back."""

import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.heads import HeadSet
from mechdyn.improve.retmask.losers import OtherModel, Rounded, WithoutHeads
from mechdyn.models.load import load_model, wrap_model
from mechdyn.models.writing import output_weights
from tests.architectures import tiny_model
from tests.bundled import mini_tokenizer


@pytest.fixture
def model():
    return wrap_model(tiny_model("llama3.2", seed=1), mini_tokenizer(), name="llama3.2")


@pytest.mark.parametrize("bits", [2, 4])
def test_rounded_weights_have_few_values_a_row_and_come_back(model, bits):
    before = {name: each.clone() for name, each in model.twin.named_parameters()}
    with Rounded(bits).of(model) as worse:
        for name, matrix in worse.twin.named_parameters():
            if "layers" in name and matrix.ndim == 2:
                assert max(len(row.unique()) for row in matrix) <= 2**bits - 1
                grain = before[name].abs().amax(dim=1, keepdim=True) / (2 ** (bits - 1) - 1)
                assert bool(((matrix - before[name]).abs() <= grain / 2 * 1.001).all())
            else:
                assert torch.equal(matrix, before[name])
    assert all(torch.equal(each, before[name]) for name, each in model.twin.named_parameters())


def test_each_says_what_it_is(model):
    assert WithoutHeads(HeadSet.of("L1H2 L0H3")).as_json() == {"kind": "heads", "off": ["L0H3", "L1H2"]}
    assert Rounded().as_json() == {"kind": "rounded", "bits": 4}
    with WithoutHeads(HeadSet.of("L1H2")).of(model) as worse:
        assert not output_weights(worse, 1)[2].any()


def test_a_weaker_model_must_read_the_same_tokens(model):
    with OtherModel(model).of(load_model("mini")) as weaker:
        assert weaker is model
    other = wrap_model(tiny_model("llama3.2", seed=1), _with_one_more(mini_tokenizer()), name="other")
    with pytest.raises(InputError, match="reads other tokens"):
        OtherModel(other).of(model)
    with pytest.raises(InputError, match="2 to 16 bits"):
        Rounded(1)


def _with_one_more(tokenizer):
    import copy

    other = copy.deepcopy(tokenizer)
    other.add_tokens(["<one-more>"])
    return other
