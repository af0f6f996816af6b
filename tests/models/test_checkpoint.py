"""Checkpoints that cannot be used: each is refused in one line that names what is wrong and what to do."""

import json
import re
import shutil

import httpx
import pytest
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

from mechdyn.errors import InputError, MechdynError, UnsupportedModelError
from mechdyn.models.load import load_model
from tests.checkpoints import make_checkpoint, make_hub_cache


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_checkpoint("llama3.1-8b", tmp_path_factory.mktemp("made") / "llama")


@pytest.fixture
def folder(made, tmp_path):
    """A sharded checkpoint to damage."""
    return shutil.copytree(made, tmp_path / "llama")


@pytest.fixture
def hub_answers(monkeypatch):
    """Make every download end in an error, below transformers' own handling of it."""

    def answer(error):
        def download(*args, **kwargs):
            raise error

        monkeypatch.setattr("transformers.utils.hub.hf_hub_download", download)

    return answer


def edit(path, **changes):
    content = json.loads(path.read_text())
    content.update(changes)
    path.write_text(json.dumps(content))


def refused(source, kind=InputError, **options):
    """The one line with which a model is refused."""
    with pytest.raises(kind) as caught:
        load_model(source, **options)
    assert isinstance(caught.value, MechdynError)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def shards(folder):
    return sorted(folder.glob("*.safetensors"))


def http_error(kind, status):
    return kind("the hub said no", response=httpx.Response(status, request=httpx.Request("GET", "https://huggingface.co")))


def test_a_gated_model_names_its_page_and_the_login(hub_answers):
    hub_answers(http_error(GatedRepoError, 403))
    assert re.search(
        r"model llama3\.1-8b is gated: accept its terms at https://huggingface\.co/meta-llama/Llama-3\.1-8B-Instruct, .*HF_TOKEN",
        refused("llama3.1-8b"),
    )


def test_a_repository_that_does_not_exist_is_named(hub_answers):
    hub_answers(http_error(RepositoryNotFoundError, 404))
    assert "the hub has no repository nobody/nothing, or a private one" in refused("nobody/nothing")


def test_without_network_a_hub_name_needs_the_cache():
    assert refused("nobody/nothing") == (
        "model nobody/nothing is not in the local cache and the hub cannot be reached; connect and load it once, or give a local folder"
    )


def test_a_missing_shard_is_named(folder):
    shards(folder)[2].unlink()
    assert re.search(r"lacks 1 of its \d+ weight files \(model-00003-of-\d+\.safetensors\)", refused(folder))


@pytest.mark.parametrize("damage", ["cut", "header", "longer", "empty"])
def test_a_damaged_shard_is_named(folder, damage):
    shard = shards(folder)[1]
    content = shard.read_bytes()
    shard.write_bytes(
        {"cut": content[:-7], "header": content[:9] + b"\xff\xff" + content[11:], "longer": content + b"0000", "empty": b""}[damage]
    )
    message = refused(folder)
    assert re.search(r"weight file model-00002-of-\d+\.safetensors of model .* download the file again", message), message


def test_a_damaged_shard_in_the_hub_cache_is_named(tmp_path, monkeypatch):
    snapshot = make_hub_cache("phi4-mini", tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    shard = shards(snapshot)[1]
    shard.write_bytes(shard.read_bytes()[:300])
    assert re.search(r"weight file model-00002-of-\d+\.safetensors of model phi4-mini", refused("phi4-mini"))


def test_a_missing_index_is_named(folder):
    (folder / "model.safetensors.index.json").unlink()
    assert re.search(r"has \d+ weight files \(model-00001-of-.*\) but no model\.safetensors\.index\.json", refused(folder))


@pytest.mark.parametrize("content", ["{", "[]", '{"weight_map": 3}'])
def test_a_damaged_index_is_named(folder, content):
    (folder / "model.safetensors.index.json").write_text(content)
    assert "the weight index of model" in refused(folder)


def test_no_weights_at_all(folder):
    for file in [*shards(folder), folder / "model.safetensors.index.json"]:
        file.unlink()
    assert "holds no model.safetensors; download the checkpoint again" in refused(folder)


def test_weights_of_another_shape(folder):
    edit(folder / "config.json", intermediate_size=80)
    assert "its weights have other shapes than its config.json says" in refused(folder)


def test_an_unknown_model_type(folder):
    edit(folder / "config.json", model_type="hyena-9", architectures=["HyenaForCausalLM"])
    assert re.search(r"transformers \d+\.\d+.* does not know its model type .*hyena-9", refused(folder, UnsupportedModelError))


def test_a_configuration_without_model_type(folder):
    (folder / "config.json").write_text('{"hidden_size": 8}')
    assert "Should have a `model_type` key in its config.json" in refused(folder, UnsupportedModelError)


def test_a_configuration_that_is_no_json(folder):
    (folder / "config.json").write_text('{"model_type": ')
    assert "cannot be loaded" in refused(folder)


def test_a_configuration_with_a_value_that_cannot_be(folder):
    edit(folder / "config.json", num_attention_heads="many")
    assert "Validation error for field 'num_attention_heads'" in refused(folder)
    edit(folder / "config.json", num_attention_heads=8, rope_scaling={"rope_type": "unheard of"})
    assert "unheard of" in refused(folder)


def test_code_of_the_repository_is_never_run(folder):
    """The configuration asks for its own code, which would leave a file behind."""
    edit(folder / "config.json", model_type="own", auto_map={"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.OwnModel"})
    (folder / "own.py").write_text(f"open({str(folder / 'ran')!r}, 'w').write('ran')\n")
    message = refused(folder, UnsupportedModelError)
    assert "needs code from its repository (trust_remote_code), which is never run here" in message
    assert not (folder / "ran").exists()


def test_an_architecture_that_transformers_has_needs_none_of_its_repositorys_code(folder):
    """Phi-4-mini's configuration names code of its own, and transformers' own is used."""
    edit(folder / "config.json", auto_map={"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.OwnModel"})
    (folder / "own.py").write_text(f"open({str(folder / 'ran')!r}, 'w').write('ran')\n")
    assert load_model(folder).n_heads == 8
    assert not (folder / "ran").exists()


def test_no_tokenizer(folder):
    for file in [*folder.glob("tokenizer*"), *folder.glob("chat_template*")]:
        file.unlink()
    assert "has no tokenizer; put tokenizer.json and tokenizer_config.json beside its weights" in refused(folder)


def test_a_damaged_tokenizer(folder):
    (folder / "tokenizer.json").write_text("{")
    assert "the tokenizer of" in refused(folder)


def test_a_slow_tokenizer_only(folder):
    for file in folder.glob("tokenizer*"):
        file.unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "ByT5Tokenizer"}))
    assert "a fast tokenizer with character offsets is needed, got ByT5Tokenizer" in refused(folder, UnsupportedModelError)


def test_a_length_beyond_the_context_is_refused_before_weights_are_read(folder):
    for shard in shards(folder):
        shard.unlink()
    assert "max_length 131073 is beyond" in refused(folder, max_length=131_073)
    assert "weight files" in refused(folder, max_length=131_072)


def test_a_sliding_window_bounds_no_length(folder):
    edit(folder / "config.json", model_type="mistral", architectures=["MistralForCausalLM"], sliding_window=64)
    assert re.search(r"max_length 131073 is beyond .*'s context of 131072 positions", refused(folder, max_length=131_073))
    model = load_model(folder, max_length=65)
    assert model.n_ctx == 65 and set(model.windows) == {64}


def test_a_rotary_table_that_follows_the_length_is_refused(folder):
    edit(folder / "config.json", rope_scaling={"type": "dynamic", "factor": 2.0})
    assert "rope_type dynamic" in refused(folder, UnsupportedModelError)


def test_device_and_device_map_exclude_each_other():
    assert "not both" in refused("mini", device="cpu", device_map="auto")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"generation_config\.json of model .* is damaged \("),
        ("", r"generation_config\.json of model .* is damaged \("),
        ("[3]", r"generation_config\.json of model .*(is damaged|must hold a JSON object)"),
        (
            '{"eos_token_id": "2"}',
            r"eos_token_id in generation_config\.json of model .* must be a token's number or a list of them, got '2'",
        ),
        ('{"eos_token_id": [2, 1.5]}', r"must be a token's number or a list of them, got \[2, 1\.5\]"),
    ],
)
def test_a_malformed_generation_config_is_named(folder, text, message):
    (folder / "generation_config.json").write_text(text)
    assert re.search(message + r".*; mend the file, or remove it to go without$", refused(folder))


def test_a_folder_may_lack_a_generation_config(folder):
    (folder / "generation_config.json").unlink()
    assert load_model(folder).eos_ids
