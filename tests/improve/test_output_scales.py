"""Scales: 1 is nothing, 0 is zero ablation in plain Hugging Face, folded equals hooked, saved equals folded."""

import pytest
import torch

from mechdyn.decoding.engines import make_engine
from mechdyn.errors import InputError
from mechdyn.heads import heads
from mechdyn.improve.output_scales import OutputScales, Scaled, fold, save_folded, scaled
from mechdyn.improve.plain import Plain
from mechdyn.improve.stepping import whole_log_probs
from mechdyn.models.load import load_model, wrap_model
from tests.architectures import BIASED, tiny_model
from tests.bundled import mini_tokenizer
from tests.plain import plain_forward

TOKENS = torch.randint(5, 1500, (24,), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module", params=["llama2", "qwen3", BIASED])
def model(request):
    return wrap_model(tiny_model(request.param), mini_tokenizer(), name=request.param)


def drawn(model, by_channel):
    like = OutputScales.ones(model, by_channel=by_channel).values
    return OutputScales(2 * torch.rand(like.shape, generator=torch.Generator().manual_seed(2)))


def test_ones_are_the_model_itself(model):
    expected = whole_log_probs(model, TOKENS)
    assert torch.equal(Scaled(model, OutputScales.ones(model)).log_probs(TOKENS), expected)
    assert torch.equal(whole_log_probs(model, TOKENS), expected)  # and no hook is left


def test_zeros_are_zero_ablation_in_plain_hugging_face(model):
    off = heads("L0H1 L1H0 L2H3").fit(model.n_layers, model.n_heads)
    plain = tiny_model(model.name)
    plain.set_attn_implementation("eager")
    expected = plain_forward(plain, TOKENS, off.mask().expand(len(TOKENS), -1, -1))[0].log_softmax(-1)
    found = Scaled(model, OutputScales.without(model, off)).log_probs(TOKENS)[-1]
    assert torch.allclose(found, expected, atol=1e-5)
    assert not torch.allclose(found, whole_log_probs(model, TOKENS)[-1], atol=1e-2)


@pytest.mark.parametrize("by_channel", [False, True])
def test_folded_equals_hooked_in_every_engine(model, by_channel, tmp_path):
    scales = drawn(model, by_channel)
    folded = fold(model, scales)
    expected = Scaled(model, scales).log_probs(TOKENS)
    assert torch.allclose(whole_log_probs(folded, TOKENS), expected, atol=1e-5)
    assert folded.identity()["revision"] != model.identity()["revision"]
    for name in ("fast", "bridge"):
        with scaled(model, scales):
            engine = make_engine(model, name)
            hooked, _ = engine.step(engine.prefill([TOKENS[:-1], TOKENS[4:-1]]), TOKENS[[-1, -1]])
        assert torch.allclose(hooked.logits[0].log_softmax(-1), expected[-1], atol=1e-5)
    again = load_model(save_folded(model, scales, tmp_path / "folded"))
    assert torch.allclose(whole_log_probs(again, TOKENS), expected, atol=1e-5)
    with pytest.raises(InputError, match="exists already"):
        save_folded(model, scales, tmp_path / "folded")


def test_dealt_factors_are_the_same_ones_elsewhere(model):
    scales = drawn(model, by_channel=True)
    dealt = scales.dealt(3)
    rows, others = ({tuple(row) for row in each.values.flatten(0, 1).tolist()} for each in (scales, dealt))
    assert rows == others and not torch.equal(scales.values, dealt.values)
    assert torch.equal(dealt.values, scales.dealt(3).values)


def test_scales_of_another_shape_are_refused(model):
    with pytest.raises(InputError, match=r"scales are of layers x heads x channels \(2, 3, 1\)"):
        Scaled(model, OutputScales(torch.ones(2, 3, 1)))
    assert Plain(model).log_probs(TOKENS).shape == (len(TOKENS), 2048)
