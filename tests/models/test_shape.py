"""Counts from the configuration alone equal those of real models, and the published sizes of the paper's five."""

import pytest
import torch
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel

from mechdyn.errors import InputError, UnsupportedModelError
from mechdyn.models.registry import CONTROLS, MINI_FOLDER, PAPER_MODELS
from mechdyn.models.shape import planned_shape, shape_of
from tests.architectures import STYLES, tiny_model

# The sums of the safetensors files on the hub.
PUBLISHED = {
    "llama3.1-8b": 8_030_261_248,
    "llama3.2-3b": 3_212_749_824,
    "qwen3-8b": 8_190_735_360,
    "llama2-13b": 13_015_864_320,
    "phi4-mini": 3_836_021_760,
}


@pytest.mark.parametrize("name", PAPER_MODELS)
def test_the_published_sizes_are_met_without_weights_or_network(name):
    shape = planned_shape(name)
    assert shape.n_parameters == PUBLISHED[name]
    assert shape.n_parameters - shape.n_read == (0 if name in ("llama3.2-3b", "phi4-mini") else shape.n_unembed)
    assert shape.dtype == (torch.float16 if name == "llama2-13b" else torch.bfloat16)


def by_hand(hf):
    """Matrices by their names in a state dict, where a tied matrix stands twice."""
    state = {name: tensor.numel() for name, tensor in hf.state_dict().items()}
    matmul = sum(numel for name, numel in state.items() if "proj" in name)
    tied = hf.config.tie_word_embeddings
    total = sum(state.values()) - (state["lm_head.weight"] if tied else 0)
    return total, matmul, state["lm_head.weight"], total - (0 if tied else state["model.embed_tokens.weight"])


@pytest.mark.parametrize("style", STYLES)
def test_counts_are_those_of_the_real_model(style, tmp_path):
    hf = tiny_model(style)
    hf.save_pretrained(tmp_path)
    for shape in (shape_of(hf), planned_shape(str(tmp_path))):
        assert (shape.n_parameters, shape.n_matmul, shape.n_unembed, shape.n_read) == by_hand(hf)
        assert (shape.n_layers, shape.n_heads, shape.d_model, shape.d_vocab) == (3, 8, 64, 2048)


@pytest.mark.parametrize("style", STYLES)
def test_cached_numbers_are_those_of_a_cache(style):
    hf = tiny_model(style)
    cache = hf(torch.arange(7)[None], past_key_values=DynamicCache(config=hf.config), use_cache=True).past_key_values
    assert shape_of(hf).n_cached * 7 == sum(layer.keys.numel() + layer.values.numel() for layer in cache.layers)


def test_learned_positions_are_looked_up_not_read():
    hf = GPT2LMHeadModel(GPT2Config(vocab_size=200, n_embd=32, n_layer=2, n_head=4, n_positions=5000))
    shape = shape_of(hf)
    assert shape.n_parameters - shape.n_read == hf.transformer.wpe.weight.numel()
    assert shape.n_matmul == 2 * (4 + 8) * 32**2
    assert (shape.n_mlp_live, shape.n_kv_heads, shape.d_head) == (3 * 4 * 32, 4, 8)


@pytest.mark.parametrize("name", ["mini", *CONTROLS])
def test_bundled_models_have_shapes(name):
    assert planned_shape(name).n_ctx > 2000


def test_what_cannot_be_planned_is_one_line(tmp_path):
    with pytest.raises(InputError, match="unknown model 'nothing'"):
        planned_shape("nothing")
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    with pytest.raises(UnsupportedModelError, match="is a t5 model; a decoder that generates text is needed"):
        planned_shape(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="cannot be loaded"):
        planned_shape(str(tmp_path))
    assert planned_shape(str(MINI_FOLDER)) == planned_shape("mini")
