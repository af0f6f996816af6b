"""The paper's five models by name, in checkpoints like the hub's: the whole pipeline against plain Hugging Face code."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from mechdyn.decoding.bridge_engine import BridgeEngine
from mechdyn.decoding.conformance import check_model
from mechdyn.decoding.engine import HeadEdit
from mechdyn.decoding.fast_engine import FastEngine
from mechdyn.decoding.trace import trace, trace_many
from mechdyn.models.load import load_model
from mechdyn.models.registry import PAPER_MODELS
from mechdyn.tasks.chat import DATE, render
from mechdyn.tasks.niah import niah
from tests.checkpoints import FAMILIES, make_hub_cache
from tests.plain import last_only, plain_forward

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LIMITS = {torch.float32: 1e-4, torch.bfloat16: 0.05}
SYSTEM, USER = "Be brief.  ", " Where was the well dug? "


@pytest.fixture(scope="module", params=PAPER_MODELS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def folder(name, tmp_path_factory):
    return make_hub_cache(name, tmp_path_factory.mktemp("hub"), COMMIT)


@pytest.fixture
def hub(folder, monkeypatch):
    """The hub's cache is the fixture's: names resolve to it, offline."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder.parents[2]))
    monkeypatch.setattr("transformers.utils.hub.constants.HF_HUB_CACHE", str(folder.parents[2]))


@pytest.fixture(scope="module", params=LIMITS, ids=str)
def pair(request, folder):
    """Plain Hugging Face with eager attention, and the same folder as `load_model` gives it."""
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=request.param, attn_implementation="eager").eval()
    return plain, load_model(folder, dtype=request.param)


@pytest.fixture(scope="module")
def tokenizer(folder):
    return AutoTokenizer.from_pretrained(folder)


def assert_near(found, expected):
    """Within the limit of the dtype, as a part of the largest value."""
    limit = LIMITS[expected.dtype] * max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(found.float(), expected.float(), atol=limit, rtol=0)


def random_prompts(model, lengths, seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(10, len(model.tokenizer), (length,), generator=generator) for length in lengths]


def test_a_short_name_finds_the_hubs_checkpoint(name, folder, hub):
    by_name, by_path = load_model(name), load_model(folder)
    tokens = torch.arange(20, 50)[None]
    assert torch.equal(by_name.bridge(tokens), by_path.bridge(tokens))
    assert by_name.revision == COMMIT
    assert by_name.identity()["name"] == name
    assert by_name.eos_ids == by_path.eos_ids


def test_prompts_are_those_of_the_template(tokenizer):
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}]
    options = {"add_generation_prompt": True, "enable_thinking": False, "date_string": DATE}
    expected = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True, **options)["input_ids"]
    prompt = render(tokenizer, SYSTEM, USER)
    assert prompt.tokens.tolist() == expected
    assert [prompt.text[start:end] for start, end in prompt.offsets if end > start]


def test_each_family_writes_its_own_features(name, tokenizer):
    prompt = render(tokenizer, SYSTEM, USER)
    tokens = prompt.tokens.tolist()
    if name.startswith("llama"):
        assert tokens[0] == tokenizer.bos_token_id and tokens.count(tokenizer.bos_token_id) == 1
        assert tokenizer(prompt.text)["input_ids"][:2] == [tokenizer.bos_token_id] * 2, "the trap must be there"
    else:
        assert tokenizer.bos_token_id is None or tokenizer.bos_token_id not in tokens
    features = {
        "llama3.1-8b": f"Day: {DATE}\n\nBe brief.<|eot_id|>",
        "llama3.2-3b": f"Day: {DATE}\n\nBe brief.<|eot_id|>",
        "qwen3-8b": "<|im_start|>assistant\n<think>\n\n</think>\n\n",
        "llama2-13b": "[INST] <<SYS>>\nBe brief.  \n<</SYS>>\n\n Where",
        "phi4-mini": "<|system|>Be brief.  <|end|><|user|> Where was the well dug? <|end|><|assistant|>",
    }
    assert features[name] in prompt.text


def test_a_needle_stands_where_the_offsets_say(pair):
    _, model = pair
    sample = niah(model.tokenizer, length=400, depth=0.5, seed=3)
    assert len(sample) <= 400
    text = model.tokenizer.decode(sample.tokens[sample.needle_positions].tolist())
    assert sample.answer in text
    assert model.tokenizer(sample.prompt, add_special_tokens=False)["input_ids"] == sample.tokens.tolist()


@pytest.mark.parametrize("lengths", [(33,), (33, 12, 21)], ids=["solo", "padded"])
@pytest.mark.parametrize("kind", [BridgeEngine, FastEngine])
def test_steps_and_ablations_equal_plain_code(pair, kind, lengths):
    plain, model = pair
    prompts = random_prompts(model, lengths, seed=len(lengths))
    fed = torch.stack(random_prompts(model, [3] * len(prompts), seed=7))
    off = torch.rand(len(prompts), model.n_layers, model.n_heads, generator=torch.Generator().manual_seed(8)) < 0.4
    engine = kind(model)
    state = engine.prefill(prompts)
    for step in range(fed.shape[1]):
        edited, _ = engine.step(state, fed[:, step], HeadEdit(off))
        output, state = engine.step(state, fed[:, step])
        for row, prompt in enumerate(prompts):
            tokens = torch.cat([prompt, fed[row, : step + 1]])
            logits, patterns, hidden = plain_forward(plain, tokens)
            assert_near(output.logits[row], logits)
            assert_near(output.hidden[row], hidden)
            visible = state.visible[row].bool()
            for ours, theirs in zip(output.patterns, patterns, strict=True):
                assert_near(ours[row][:, visible], theirs)
            ablated, _, _ = plain_forward(plain, tokens, last_only(off[row], len(tokens)))
            assert_near(edited.logits[row], ablated)
            assert (ablated - logits).abs().max() > 0.05, "the ablation must matter"


def test_text_is_that_of_greedy_generate_with_the_checkpoints_own_ends(name, folder, tokenizer):
    """Sampling is switched on in most of the generation configs, and all but Llama 2 end at several ids."""
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    model = load_model(folder)
    own = plain.generation_config.eos_token_id
    assert model.eos_ids == tuple(sorted(own if isinstance(own, list) else [own]))
    samples = [niah(tokenizer, length=220 + 10 * seed, depth=0.5, seed=seed) for seed in range(6)]
    met = set()
    traces = list(trace_many(model, samples, batch_size=4, max_new_tokens=16))
    for sample, found in zip(samples, traces, strict=True):
        row = sample.tokens[None]
        expected = plain.generate(row, attention_mask=torch.ones_like(row), do_sample=False, max_new_tokens=16)[0, len(sample) :].tolist()
        if expected[-1] in model.eos_ids:
            met.add(expected.pop())
            assert found.stopped == "eos"
        assert found.tokens.tolist() == expected
    assert met, "some text must end by itself"
    alone = trace(model, samples[0], max_new_tokens=16, engine="bridge")
    assert alone.tokens.tolist() == traces[0].tokens.tolist()


def test_published_keys_reach_the_model(name, folder):
    """What the published config.json says in older keys is what runs."""
    config = load_model(folder).bridge.original_model.config
    family = FAMILIES[name].config
    scaling = family.get("rope_scaling") or {}
    assert config.rope_parameters["rope_theta"] == family.get("rope_theta", 10_000.0)
    assert config.rope_parameters["rope_type"] == scaling.get("rope_type", scaling.get("type", "default"))
    assert config.tie_word_embeddings == family["tie_word_embeddings"]
    if "partial_rotary_factor" in family:
        assert config.rope_parameters["partial_rotary_factor"] == 0.75


def test_each_passes_the_conformance_check(name, hub):
    for max_length in (None, 4096 if name == "llama2-13b" else 8192):
        conformance = check_model(name, max_length=max_length)
        assert [check for check in conformance.checks if check.passed is not True] == []
