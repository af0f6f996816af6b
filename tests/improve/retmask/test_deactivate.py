"""Zeroed columns of W_O, the schedule, a saved checkpoint and plain Hugging Face give the same logits."""

import copy

import pytest
import torch
from transformers import AutoModelForCausalLM

from mechdyn.decoding.engine import HeadEdit
from mechdyn.decoding.reference import ReferenceEngine
from mechdyn.errors import InputError
from mechdyn.heads import Head, HeadSet, RankedHeads
from mechdyn.improve.retmask.deactivate import deactivated, deactivation, save_deactivated
from mechdyn.models.load import load_model, wrap_model
from mechdyn.models.writing import output_weights
from tests.architectures import BIASED, tiny_model
from tests.bundled import mini_tokenizer
from tests.plain import plain_forward

OFF = HeadSet.of("L0H1 L0H6 L1H0 L2H5 L2H7", 3, 8)


def logits_of(model, tokens):
    with torch.inference_mode():
        return model.twin(tokens[None], use_cache=False).logits[0, -1]


def scheduled_logits(model, tokens, off):
    """What the engine of scope `all` gives where the schedule chooses."""
    ablation = deactivation(off)
    mask = ablation.schedule.chosen.fit(model.n_layers, model.n_heads).mask()[None]
    engine = ReferenceEngine(model)
    output, _ = engine.step(engine.prefill([tokens[:-1]]), tokens[-1:], HeadEdit(mask, whole=ablation.scope == "all"))
    return output.logits[0]


@pytest.fixture(scope="module", params=["llama3.1", "llama2", "gemma2", BIASED])
def pair(request):
    """A hooked model and the plain one; grouped and all key-value heads, and an output bias."""
    plain = tiny_model(request.param, seed=3)
    wrapped = wrap_model(copy.deepcopy(plain), mini_tokenizer(), name=request.param)
    plain.set_attn_implementation("eager")
    return plain, wrapped


@pytest.mark.parametrize("seed", [0, 1])
def test_three_ways_of_switching_heads_off_agree(pair, tmp_path, seed):
    plain, model = pair
    tokens = torch.randint(6, 2000, (24,), generator=torch.Generator().manual_seed(seed))
    expected, _, _ = plain_forward(plain, tokens, OFF.mask().expand(len(tokens), 3, 8))
    intact = logits_of(model, tokens)
    scale = float(expected.abs().max())
    with deactivated(model, OFF):
        inside = logits_of(model, tokens)
    saved = AutoModelForCausalLM.from_pretrained(save_deactivated(model, OFF, tmp_path / "off"))
    with torch.inference_mode():
        from_disk = saved(tokens[None]).logits[0, -1]
    for found in (inside, from_disk, scheduled_logits(model, tokens, OFF)):
        torch.testing.assert_close(found / scale, expected / scale, atol=1e-5, rtol=0)
    assert float((intact - expected).abs().max()) > 1e-2, "the heads do nothing here, so nothing was tested"


def test_the_model_is_itself_again_behind_the_block(pair):
    _, model = pair
    before = [output_weights(model, layer).clone() for layer in range(3)]
    with pytest.raises(KeyboardInterrupt), deactivated(model, OFF):
        assert all(not output_weights(model, layer)[head].any() for layer, head in OFF)
        raise KeyboardInterrupt
    assert all(torch.equal(output_weights(model, layer), before[layer]) for layer in range(3))


def test_a_bias_belongs_to_no_head(tmp_path):
    plain = tiny_model(BIASED, seed=3)
    model = wrap_model(copy.deepcopy(plain), mini_tokenizer(), name=BIASED)
    every = HeadSet.from_mask(torch.ones(3, 8, dtype=torch.bool))
    saved = AutoModelForCausalLM.from_pretrained(save_deactivated(model, every, tmp_path / "off"))
    for ours, theirs in zip(saved.model.layers, plain.model.layers, strict=True):
        assert torch.equal(ours.self_attn.o_proj.bias, theirs.self_attn.o_proj.bias) and ours.self_attn.o_proj.bias.any()
        assert not ours.self_attn.o_proj.weight.any()


def test_a_saved_checkpoint_is_a_model_like_any_other(tmp_path):
    model = load_model("mini")
    folder = save_deactivated(model, "L1H3 L4H0", tmp_path / "off")
    loaded = load_model(folder)
    assert not output_weights(loaded, 1)[3].any() and not output_weights(loaded, 4)[0].any()
    assert torch.equal(output_weights(loaded, 1)[4], output_weights(model, 1)[4])
    assert loaded.eos_ids == model.eos_ids and loaded.tokenizer.chat_template == model.tokenizer.chat_template
    with pytest.raises(InputError, match="exists already; name a new folder"):
        save_deactivated(model, "L1H3", folder)


def test_what_is_no_set_of_this_models_heads_is_refused(pair):
    _, model = pair
    ranking = RankedHeads((Head(0, 1), Head(0, 2)), (1.0, 0.5))
    for off, words in [("L9H0", "L9H0"), ("", "name some"), (ranking, "say how many"), (HeadSet.of("L0H0", 4, 8), "4 x 8|4 layers")]:
        with pytest.raises(InputError, match=words), deactivated(model, off):
            pass
