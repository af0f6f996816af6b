"""What loads, what is refused, and in which words."""

import copy
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertLMHeadModel, GPTNeoConfig, GPTNeoForCausalLM, T5Config

from mechdyn.decoding.bridge_engine import BridgeEngine
from mechdyn.errors import InputError, UnsupportedModelError
from mechdyn.models.context import pin_longrope
from mechdyn.models.load import load_model, wrap_model
from mechdyn.models.registry import MINI_FOLDER, list_models
from tests.architectures import tiny_model
from tests.bundled import mini_tokenizer
from tests.plain import plain_forward
from tests.tokenizers import tokenizer_styles


@pytest.fixture
def folder(tmp_path):
    """A copy of the bundled model's folder."""
    return shutil.copytree(MINI_FOLDER, tmp_path / "model")


def test_a_local_folder_is_the_bundled_model(folder):
    bundled, local = load_model("mini"), load_model(folder)
    tokens = torch.arange(6, 26)[None]
    positions = torch.arange(20)[None]
    assert torch.equal(bundled.bridge(tokens, position_ids=positions), local.bridge(tokens, position_ids=positions))
    assert (bundled.n_layers, bundled.n_heads, bundled.revision) == (local.n_layers, local.n_heads, local.revision)


def test_prefill_and_decode_share_their_weights():
    model = load_model("mini")
    bridge_tensors = {parameter.data_ptr() for parameter in model.bridge.parameters()}
    assert {parameter.data_ptr() for parameter in model.twin.parameters()} <= bridge_tensors


def test_the_tokenizer_stays_as_it_was():
    """TransformerLens sets special tokens on the one it is given."""
    tokenizer = copy.deepcopy(tokenizer_styles()["byte_bpe_plain"])
    tokenizer.bos_token = None
    before = (tokenizer.special_tokens_map, tokenizer("A text.")["input_ids"])
    model = wrap_model(tiny_model("qwen3"), tokenizer, name="raw")
    assert model.tokenizer is tokenizer
    assert (tokenizer.special_tokens_map, tokenizer("A text.")["input_ids"]) == before


def test_several_ends_of_generation_are_collected():
    hf = tiny_model("llama3.1")
    hf.generation_config.eos_token_id = [5, 9]
    assert wrap_model(hf, mini_tokenizer(), name="several").eos_ids == (2, 5, 9)


def test_the_checkpoints_revision_follows_its_content(folder):
    before = load_model(folder).revision
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 2e-5}))
    assert load_model(folder).revision != before


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match=r"unknown model 'minni': give one of mini, planted-static"):
        load_model("minni")
    assert "mini" in [listing.name for listing in list_models()]


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds no config\.json"):
        load_model(tmp_path)


def test_damaged_weights_are_refused_in_one_line(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match="is cut short at 1000 bytes") as error:
        load_model(folder)
    assert "\n" not in str(error.value)


def test_missing_weights_are_refused_instead_of_made_up(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("model.layers.1.self_attn.q_proj.weight")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lacks 1 of its weights \(model\.layers\.1\.self_attn\.q_proj\.weight"):
        load_model(folder)


def test_a_tokenizer_without_offsets_is_refused(folder):
    for file in folder.glob("tokenizer*"):
        file.unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "ByT5Tokenizer"}))
    with pytest.raises(UnsupportedModelError, match="a fast tokenizer with character offsets is needed, got ByT5Tokenizer"):
        load_model(folder)


def test_an_encoder_decoder_is_refused(folder):
    T5Config(d_model=16, num_layers=1, num_heads=2, d_kv=8, d_ff=16, vocab_size=64).save_pretrained(folder)
    with pytest.raises(UnsupportedModelError, match="is a t5 model; a decoder that generates text is needed"):
        load_model(folder)


def test_an_encoder_is_refused():
    config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=64)
    with pytest.raises(UnsupportedModelError):
        wrap_model(BertLMHeadModel(config), mini_tokenizer(), name="bert")


@pytest.mark.parametrize(("max_length", "n_tokens", "n_ctx"), [(None, 60, 64), (300, 90, 300)], ids=["short", "long"])
def test_longrope_uses_one_table_for_the_whole_run(max_length, n_tokens, n_ctx):
    """A model whose original context is 64: on either side of it, steps behind any chunks are a whole forward in plain code."""
    hf = tiny_model("phi4-mini", original_context=64)
    config = copy.deepcopy(hf.config)
    pin_longrope(config, max_length)
    pinned = type(hf)(config).eval()
    pinned.load_state_dict(hf.state_dict(), strict=False)
    model = wrap_model(pinned, mini_tokenizer(), name="longrope", max_length=max_length)
    assert model.n_ctx == n_ctx
    tokens = torch.randint(6, 2000, (n_tokens,), generator=torch.Generator().manual_seed(1))
    hf.set_attn_implementation("eager")
    expected, _, _ = plain_forward(hf, tokens)
    for chunk in (16, 128):
        engine = BridgeEngine(model, chunk=chunk)
        found, _ = engine.step(engine.prefill([tokens[:-1]]), tokens[-1:])
        torch.testing.assert_close(found.logits[0], expected, atol=1e-4, rtol=0)


def test_a_window_that_the_architecture_does_not_use_is_none():
    hf = tiny_model("llama2")
    hf.config.sliding_window = 32
    assert wrap_model(hf, mini_tokenizer(), name="stray").windows == (None, None, None)


@pytest.mark.parametrize(("max_length", "window"), [(300, None), (301, 300), (None, 300)])
def test_a_window_that_holds_the_whole_context_is_none(max_length, window):
    hf = tiny_model("gemma3", sliding_window=300)
    assert wrap_model(hf, mini_tokenizer(), name="long", max_length=max_length).windows == (window, None, window)


def test_a_window_of_the_models_own_attention_bounds_the_context():
    sizes = {"vocab_size": 2048, "hidden_size": 32, "num_layers": 2, "num_heads": 2, "max_position_embeddings": 512}
    hf = GPTNeoForCausalLM(GPTNeoConfig(**sizes, attention_types=[[["global", "local"], 1]], window_size=48))
    assert wrap_model(hf, mini_tokenizer(), name="neo").n_ctx == 48


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("chunked_attention", "attends within chunks of the context"), ("linear_attention", "is linear attention or a state space")],
)
def test_layers_of_another_kind_are_refused(kind, reason):
    hf = tiny_model("gemma3")
    hf.config.layer_types = ["full_attention", kind, "full_attention"]
    with pytest.raises(UnsupportedModelError, match=f"other: layer 1 {reason}"):
        wrap_model(hf, mini_tokenizer(), name="other")


def test_a_length_beyond_the_context_is_refused():
    with pytest.raises(InputError, match="max_length 9999 is beyond mini's context of 2304 positions"):
        load_model("mini", max_length=9999)


def test_a_controls_revision_knows_its_tokenizer(tmp_path, monkeypatch):
    """The weights are the same for every tokenizer of the same size."""
    before = load_model("planted-static").revision
    assert load_model("planted-static").revision == before
    for file in MINI_FOLDER.glob("*.json*"):
        text = file.read_text()
        (tmp_path / file.name).write_text(text.replace("<|system|>", "<|sistem|>"))
    (tmp_path / "chat_template.jinja").write_text((MINI_FOLDER / "chat_template.jinja").read_text())
    monkeypatch.setattr("mechdyn.models.load.MINI_FOLDER", tmp_path)
    assert load_model("planted-static").revision != before
