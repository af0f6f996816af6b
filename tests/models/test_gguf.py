"""GGUF files: what comes of one is the model that went in, kept whole in the cache or not at all."""

import hashlib
import json
import os
import re
import resource
import shutil
import signal

import pytest
import torch
from transformers import AutoTokenizer

from mechdyn.errors import InputError, MechdynError, UnsupportedModelError
from mechdyn.models.gguf import end_of_turn, kept_folder
from mechdyn.models.load import load_model
from mechdyn.models.shape import planned_shape
from tests.gguf_files import small_llama, write_gguf
from tests.plain import plain_forward
from tests.tokenizers import tokenizer_styles

pytest.importorskip("gguf", reason="needs the package gguf: pip install 'mechdyn[gguf]'")
TOKENIZER = tokenizer_styles()["byte_bpe_plain"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MECHDYN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def llama():
    return small_llama(len(TOKENIZER))


@pytest.fixture(scope="module")
def made(llama, tmp_path_factory):
    """A GGUF file in float32."""
    return write_gguf(tmp_path_factory.mktemp("made") / "tiny.gguf", llama, TOKENIZER)


@pytest.fixture
def file(made, tmp_path):
    """A copy of it to damage."""
    return shutil.copy(made, tmp_path / "tiny.gguf")


def refused(source, kind=InputError, **options):
    """The one line with which a model is refused."""
    with pytest.raises(kind) as caught:
        load_model(source, **options)
    assert isinstance(caught.value, MechdynError) and "\n" not in str(caught.value)
    return str(caught.value)


def kept(cache):
    """What lies in the cache for good."""
    return sorted(each.name for each in (cache / "gguf").glob("*") if each.is_dir())


def test_a_file_in_float32_is_the_model_that_went_in(made, llama):
    model = load_model(made)
    tokens = torch.randint(6, len(TOKENIZER), (40,), generator=torch.Generator().manual_seed(torch.seed() % 2**31))
    logits, _, _ = plain_forward(llama, tokens)
    assert torch.allclose(model.twin(tokens[None]).logits[0, -1], logits, atol=1e-4)
    assert (model.n_layers, model.n_heads, model.n_ctx) == (2, 8, 4096)


def test_its_revision_is_the_files_hash_and_its_name_in_stores_the_files(made):
    model = load_model(made)
    assert model.revision == hashlib.sha256(made.read_bytes()).hexdigest()
    assert model.identity()["name"] == "tiny.gguf"


def test_blocks_are_unpacked_as_the_package_gguf_unpacks_them(llama, tmp_path):
    from gguf import GGMLQuantizationType, dequantize, quantize

    kind = GGMLQuantizationType.Q8_0
    file = write_gguf(tmp_path / "blocks.gguf", llama, TOKENIZER, kind="Q8_0")
    found = load_model(file).twin.state_dict()
    for name in ("model.embed_tokens.weight", "model.layers.1.mlp.down_proj.weight", "model.layers.0.self_attn.o_proj.weight"):
        weight = llama.state_dict()[name].numpy()
        assert torch.equal(found[name], torch.from_numpy(dequantize(quantize(weight, kind), kind).reshape(weight.shape))), name


def test_the_tokenizer_gives_the_same_ids_and_offsets(made):
    tokenizer, text = load_model(made).tokenizer, "Keep it, é and “quotes” apart.\n <|head|> 3,5 % <|end|>"
    assert tokenizer(text)["input_ids"] == TOKENIZER(text)["input_ids"]
    assert tokenizer.is_fast and tokenizer.decode(tokenizer(text)["input_ids"]) == text
    offsets = tokenizer("needle in", return_offsets_mapping=True)["offset_mapping"]
    assert offsets[0][0] == 0 and offsets[-1][1] == len("needle in")


def test_a_file_whose_digits_stand_alone_is_split_as_it_was_trained(llama, tmp_path):
    """Without the file's own split, spaces and newlines before a digit would be cut as GPT-2 cuts them."""
    tokenizer = load_model(write_gguf(tmp_path / "digits.gguf", llama, TOKENIZER, pre="smollm")).tokenizer
    pieces = [piece for piece, _ in tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("in 12\n\n3")]
    assert pieces == ["in", "Ġ", "1", "2", "ĊĊ", "3"]


def test_generation_ends_at_the_end_of_turn_too(made, llama, tmp_path):
    """The file names </s> alone; its template ends a turn with <|end|>."""
    ids = TOKENIZER.convert_tokens_to_ids
    assert load_model(made).eos_ids == (ids("</s>"), ids("<|end|>"))
    plain = write_gguf(tmp_path / "plain.gguf", llama, TOKENIZER, template=None)
    assert load_model(plain).eos_ids == (ids("</s>"),)
    named = write_gguf(tmp_path / "named.gguf", llama, TOKENIZER, template=None, ends={"eot": ids("<|tail|>")})
    assert load_model(named).eos_ids == tuple(sorted((ids("</s>"), ids("<|tail|>"))))


def test_the_end_of_turn_is_read_off_the_template():
    styles = tokenizer_styles()
    assert end_of_turn(styles["byte_bpe"]) == styles["byte_bpe"].convert_tokens_to_ids("<|end|>")
    assert end_of_turn(styles["byte_bpe_plain"]) is None


def test_a_folder_that_holds_one_file_is_that_file(file):
    folder = file.parent / "folder"
    folder.mkdir()
    moved = shutil.move(file, folder / "any name.gguf")
    (folder / "tokenizer.json").write_text("{")  # nothing beside the file is read
    assert load_model(folder).revision == load_model(moved).revision
    shutil.copy(moved, folder / "another.gguf")
    assert re.search(r"holds 2 GGUF files \(another\.gguf, any name\.gguf\); give the path of one", refused(folder))


def test_it_is_unpacked_once_for_each_dtype(made, cache, monkeypatch):
    load_model(made)
    before = kept(cache)
    monkeypatch.setattr("mechdyn.models.gguf._open", lambda *_: pytest.fail("unpacked again"))
    assert load_model(made).dtype == torch.float32
    monkeypatch.undo()
    os.environ["MECHDYN_CACHE"] = str(cache)
    half = load_model(made, dtype=torch.bfloat16)
    assert half.dtype == torch.bfloat16 and len(kept(cache)) == 2 and set(before) < set(kept(cache))


@pytest.mark.parametrize("damage", ["flip", "cut", "lost", "note"])
def test_what_is_kept_is_made_again_where_a_byte_of_it_is_wrong(file, damage, cache):
    folder = kept_folder("tiny", file, torch.float32)
    wanted = {each.name: each.read_bytes() for each in folder.iterdir()}
    weights = folder / "model.safetensors"
    if damage == "flip":
        content = bytearray(weights.read_bytes())
        content[-100] ^= 1
        weights.write_bytes(content)
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-4])
    elif damage == "lost":
        (folder / "tokenizer.json").unlink()
    else:
        (folder / "kept.json").write_text("{")
    assert kept_folder("tiny", file, torch.float32) == folder
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == wanted


def test_another_file_at_the_same_place_is_another_model(file, llama):
    before = load_model(file)
    write_gguf(file, small_llama(len(TOKENIZER), seed=1), TOKENIZER)
    after = load_model(file)
    assert before.revision != after.revision
    assert not torch.equal(before.twin.lm_head.weight, after.twin.lm_head.weight)


@pytest.mark.parametrize("size", [0, 3, 30, 5000, -1, -5000])
def test_a_file_that_is_cut_short(file, size, cache):
    content = file.read_bytes()
    file.write_bytes(content[:size])
    assert re.search(rf"tiny\.gguf of model .* is cut short at {len(content[:size])} bytes or no GGUF file", refused(file))
    assert kept(cache) == []


def test_a_file_of_something_else(tmp_path):
    (tmp_path / "text.gguf").write_bytes(b"PK" + bytes(1000))
    assert "or no GGUF file" in refused(tmp_path / "text.gguf")


def test_an_architecture_that_transformers_does_not_know(llama, tmp_path, cache):
    file = write_gguf(tmp_path / "other.gguf", llama, TOKENIZER, architecture="hyena9")
    assert re.search(r"does not read this GGUF file \(.*hyena9.*\); choose one of an architecture", refused(file, UnsupportedModelError))
    assert kept(cache) == []


def test_rotary_scaling_that_transformers_leaves_out_is_refused(llama, tmp_path):
    factors = {"rope_freqs.weight": torch.ones(4).numpy()}
    file = write_gguf(tmp_path / "scaled.gguf", llama, TOKENIZER, tensors=factors)
    assert "scales its rotary table, which transformers does not read" in refused(file, UnsupportedModelError)
    file = write_gguf(tmp_path / "yarn.gguf", llama, TOKENIZER, more={"llama.rope.scaling.type": "yarn"})
    assert "scales its rotary table" in refused(file, UnsupportedModelError)


def test_a_file_that_lacks_weights(llama, tmp_path, cache, monkeypatch):
    monkeypatch.setattr("tests.gguf_files._NAMES", {**__import__("tests.gguf_files").gguf_files._NAMES, "mlp.up_proj": "ffn_other"})
    file = write_gguf(tmp_path / "less.gguf", llama, TOKENIZER)
    assert re.search(r"lacks 2 of its weights \(model\.layers\.0\.mlp\.up_proj\.weight \.\.\.\)", refused(file))
    assert kept(cache) == []


def test_no_file():
    assert refused("nothing/at/all.gguf") == "no file nothing/at/all.gguf; give the path of a GGUF file that is there"


def test_without_the_package_the_pip_line_is_said_and_what_is_kept_still_loads(made, monkeypatch, cache):
    monkeypatch.setattr("mechdyn.models.gguf.find_spec", lambda _: None)
    assert "needs the package gguf: pip install 'mechdyn[gguf]'" in refused(made)
    monkeypatch.undo()
    os.environ["MECHDYN_CACHE"] = str(cache)
    load_model(made)
    monkeypatch.setattr("mechdyn.models.gguf.find_spec", lambda _: None)
    assert load_model(made).n_layers == 2


def test_a_full_disk_leaves_nothing_behind(made, cache):
    """A bound on the size of files, which the system holds as it does that of a disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        message = refused(made)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert re.search(r"cannot be kept in .*gguf \(.*\); make room there, or set MECHDYN_CACHE to another folder", message)
    assert kept(cache) == []
    assert load_model(made).n_layers == 2


def test_what_a_killed_process_left_is_cleared(made, cache):
    folder = kept_folder("tiny", made, torch.float32)
    left = folder.with_name(f"{folder.name}.part-dead")
    shutil.copytree(folder, left)
    shutil.rmtree(folder)
    assert kept_folder("tiny", made, torch.float32) == folder and not left.exists()


def test_the_template_comes_back_as_it_was(made):
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Which?"}]
    tokenizer = load_model(made).tokenizer
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert text == "<|head|>system\nBe brief.<|end|>\n<|head|>user\nWhich?<|end|>\n<|head|>assistant\n"
    again = AutoTokenizer.from_pretrained(kept_folder("tiny", made, torch.float32))
    assert again.chat_template == tokenizer.chat_template and again(text)["input_ids"] == tokenizer(text)["input_ids"]


def test_its_shape_is_planned_without_unpacking(made, cache, llama):
    shape = planned_shape(str(made))
    assert kept(cache) == [] and shape.n_parameters == sum(parameter.numel() for parameter in llama.parameters())


def test_the_note_says_what_was_kept(made):
    note = json.loads((kept_folder("tiny", made, torch.float32) / "kept.json").read_text())
    assert note["sha256"] == hashlib.sha256(made.read_bytes()).hexdigest() and note["dtype"] == "float32"
