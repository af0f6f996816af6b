"""A `HookedTransformer` under the reference engine equals plain Hugging Face and the bridge. Needs TransformerLens 3.9: `make test-tl3`."""

import copy
import dataclasses

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from mechdyn.decoding.ablation import Ablation
from mechdyn.decoding.engine import HeadEdit
from mechdyn.decoding.engines import make_engine
from mechdyn.decoding.reference import ReferenceEngine
from mechdyn.decoding.trace import trace, trace_conditions, trace_many
from mechdyn.errors import InputError, UnsupportedModelError
from mechdyn.models.hooked import wrap_hooked
from mechdyn.models.load import wrap_model
from mechdyn.schedules import Dynamic, RandomHeads
from mechdyn.tasks.sample import Sample
from tests.architectures import LIVE, tiny_model
from tests.bundled import mini_tokenizer
from tests.plain import last_only, plain_forward

pytestmark = pytest.mark.tl3

LLAMAS = ("llama3.1", "llama3.2", "qwen3", "llama2")
TOLERANCE = 1e-4
PROCESSED = {"fold_ln": True, "center_writing_weights": True, "center_unembed": True, "fold_value_biases": True}
RAW = dict.fromkeys(PROCESSED, False)


def tiny_gpt2():
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=2048, n_embd=64, n_layer=3, n_head=8, n_positions=256, bos_token_id=1, eos_token_id=2)
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "ln" not in name:
                parameter.normal_(std=0.12)
    return model


def tiny(style, few_words=False):
    """A tiny model whose norms' weights are not all 1, or folding them would change nothing."""
    model = tiny_gpt2() if style == "gpt2" else tiny_model(style, seed=3, few_words=few_words)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ("norm" in name or "ln_" in name) and name.endswith("weight"):
                parameter.uniform_(0.5, 1.5)
    return model


def hooked_of(hf, processing):
    """A `HookedTransformer` of these weights, its configuration written by hand as TransformerLens writes it for hub names."""
    from transformer_lens import HookedTransformer
    from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights, convert_llama_weights, convert_qwen3_weights

    kind = hf.config.model_type
    cfg = gpt2_config(hf.config) if kind == "gpt2" else llama_config(hf.config)
    convert = {"gpt2": convert_gpt2_weights, "qwen3": convert_qwen3_weights, "llama": convert_llama_weights}[kind]
    hooked = HookedTransformer(cfg)
    if kind != "gpt2":  # RMS norms do not centre, so centred weights would be another model
        processing = processing | {"center_writing_weights": False}
    hooked.load_and_process_state_dict(convert(copy.deepcopy(hf), cfg), **processing)
    return hooked.eval()


def gpt2_config(config):
    from transformer_lens import HookedTransformerConfig

    return HookedTransformerConfig(
        n_layers=config.n_layer,
        n_heads=config.n_head,
        d_model=config.n_embd,
        d_head=config.n_embd // config.n_head,
        d_mlp=4 * config.n_embd,
        d_vocab=config.vocab_size,
        n_ctx=config.n_positions,
        eps=config.layer_norm_epsilon,
        act_fn="gelu_new",
        normalization_type="LN",
        model_name="tiny",
        device="cpu",
    )


def llama_config(config):
    from transformer_lens import HookedTransformerConfig

    rope, grouped = config.rope_parameters, config.num_key_value_heads != config.num_attention_heads
    scaling = {}
    if rope["rope_type"] == "llama3":
        scaling = {
            "use_NTK_by_parts_rope": True,
            "NTK_by_parts_low_freq_factor": rope["low_freq_factor"],
            "NTK_by_parts_high_freq_factor": rope["high_freq_factor"],
            "NTK_by_parts_factor": rope["factor"],
            "NTK_original_ctx_len": rope["original_max_position_embeddings"],
        }
    return HookedTransformerConfig(
        n_layers=config.num_hidden_layers,
        n_heads=config.num_attention_heads,
        n_key_value_heads=config.num_key_value_heads if grouped else None,
        d_model=config.hidden_size,
        d_head=config.head_dim,
        d_mlp=config.intermediate_size,
        d_vocab=config.vocab_size,
        n_ctx=config.max_position_embeddings,
        eps=config.rms_norm_eps,
        act_fn="silu",
        gated_mlp=True,
        normalization_type="RMS",
        final_rms=True,
        use_qk_norm=config.model_type == "qwen3",
        positional_embedding_type="rotary",
        rotary_base=int(rope["rope_theta"]),
        rotary_dim=config.head_dim,
        rotary_adjacent_pairs=False,
        model_name="tiny",
        device="cpu",
        **scaling,
    )


def wrapped(hf, processing=RAW):
    return wrap_hooked(hooked_of(hf, processing), mini_tokenizer(), eos_ids=())


@pytest.fixture(scope="module", params=[*LLAMAS, "gpt2"])
def pair(request):
    plain = tiny(request.param)
    plain.set_attn_implementation("eager")
    return plain, wrapped(plain)


def random_prompts(lengths, seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(6, 2000, (length,), generator=generator) for length in lengths]


def random_sample(length, seed):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(LIVE.start, LIVE.stop, (length,), generator=generator)
    needle = (torch.rand(length, generator=generator) < 0.8).nonzero().flatten()
    return Sample("niah", f"sample {seed}", tokens, ((0, 1),), needle, (0, 1), "?", "!")


@pytest.mark.parametrize("lengths", [(23,), (23, 9, 31)])
def test_steps_equal_plain_hugging_face(pair, lengths):
    plain, model = pair
    prompts = random_prompts(lengths, seed=1)
    fed = torch.stack(random_prompts([3] * len(prompts), seed=2))
    engine = ReferenceEngine(model)
    state = engine.prefill(prompts)
    for step in range(fed.shape[1]):
        output, state = engine.step(state, fed[:, step])
        for row, prompt in enumerate(prompts):
            logits, patterns, hidden = plain_forward(plain, torch.cat([prompt, fed[row, : step + 1]]))
            torch.testing.assert_close(output.logits[row], logits, atol=TOLERANCE, rtol=0)
            torch.testing.assert_close(output.hidden[row], hidden, atol=TOLERANCE, rtol=0)
            visible = state.visible[row].bool()
            for layer, pattern in enumerate(patterns):
                torch.testing.assert_close(output.patterns[layer][row][:, visible], pattern, atol=TOLERANCE, rtol=0)
                assert not output.patterns[layer][row][:, ~visible].any(), "padding must get no attention"


@pytest.mark.parametrize("style", LLAMAS)
def test_edit_equals_zeroing_the_input_of_o_proj(style):
    plain = tiny(style)
    model = wrapped(plain)
    plain.set_attn_implementation("eager")
    prompts, fed = random_prompts((17, 26), seed=3), torch.tensor([40, 41])
    mask = torch.rand(2, model.n_layers, model.n_heads, generator=torch.Generator().manual_seed(5)) < 0.4
    engine = ReferenceEngine(model)
    output, _ = engine.step(engine.prefill(prompts), fed, HeadEdit(mask))
    for row, prompt in enumerate(prompts):
        logits, _, _ = plain_forward(plain, torch.cat([prompt, fed[row : row + 1]]), last_only(mask[row], len(prompt) + 1))
        torch.testing.assert_close(output.logits[row], logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("processing", [RAW, PROCESSED], ids=["raw", "processed"])
def test_generated_text_is_that_of_generate(pair, processing):
    plain, _ = pair
    model, sample = wrapped(plain, processing), random_sample(24, seed=6)
    expected = plain.generate(sample.tokens[None], do_sample=False, max_new_tokens=8, eos_token_id=None, pad_token_id=0)[0, 24:]
    assert trace(model, sample, max_new_tokens=8).tokens.tolist() == expected.tolist()


@pytest.mark.parametrize("style", LLAMAS)
def test_ablated_traces_are_those_of_the_bridge(style):
    hf = tiny(style, few_words=True)
    hooked = wrapped(hf)
    bridge = dataclasses.replace(wrap_model(hf, mini_tokenizer(), name="tiny"), eos_ids=())
    samples = [random_sample(length, seed=length) for length in (12, 20)]
    conditions = {"clean": None, "dynamic": Ablation(Dynamic(), commit="ablated"), "random": RandomHeads(5, seed=1)}
    theirs, ours = (trace_conditions(model, samples, conditions, max_new_tokens=4) for model in (bridge, hooked))
    for one, two in zip(theirs, ours, strict=True):
        assert one["dynamic"].ablated.any(), "the samples must have something to ablate"
        for name in conditions:
            assert one[name].tokens.tolist() == two[name].tokens.tolist()
            assert torch.equal(one[name].retrieval_scores, two[name].retrieval_scores)


def test_processed_weights_keep_patterns_and_probabilities(pair):
    """And what the docstring says of the rest: logits shifted by a constant, the last norm's weight gone from the hidden state."""
    plain, raw = pair
    (prompt,) = random_prompts((21,), seed=7)
    (logits, patterns, _), processed = plain_forward(plain, prompt), wrapped(plain, PROCESSED)
    outputs = []
    for model in (raw, processed):
        engine = ReferenceEngine(model)
        outputs.append(engine.step(engine.prefill([prompt[:-1]]), prompt[-1:])[0])
    shift = outputs[1].logits[0] - logits
    torch.testing.assert_close(shift, shift.mean().expand_as(shift), atol=TOLERANCE, rtol=0)
    assert abs(float(shift.mean())) > TOLERANCE
    for layer, pattern in enumerate(patterns):
        torch.testing.assert_close(outputs[1].patterns[layer][0], pattern, atol=TOLERANCE, rtol=0)
    norm = raw.bridge.hooked.ln_final
    weight, bias = norm.w.detach(), norm.b.detach() if hasattr(norm, "b") else 0.0
    torch.testing.assert_close(outputs[1].hidden * weight + bias, outputs[0].hidden, atol=TOLERANCE, rtol=0)


def test_hooks_of_the_user_act():
    hf = tiny("llama3.1")
    model = wrapped(hf)
    (prompt,) = random_prompts((19,), seed=8)
    engine = ReferenceEngine(model)
    edit = HeadEdit(torch.zeros(1, model.n_layers, model.n_heads, dtype=torch.bool), whole=True)
    edit.mask[0, 1, 4] = True
    expected, _ = engine.step(engine.prefill([prompt[:-1]]), prompt[-1:], edit)

    def silence(z, hook):
        z[:, :, 4] = 0.0
        return z

    model.bridge.hooked.add_hook("blocks.1.attn.hook_z", silence)
    for _ in range(2):  # and stay where they are
        output, _ = engine.step(engine.prefill([prompt[:-1]]), prompt[-1:])
        torch.testing.assert_close(output.logits, expected.logits)


def test_batches_agree_with_solo_runs(pair):
    _, model = pair
    samples = [random_sample(length, seed=length) for length in (14, 22, 9)]
    for sample, batched in zip(samples, trace_many(model, samples, batch_size=3, max_new_tokens=3), strict=True):
        assert batched.tokens.tolist() == trace(model, sample, max_new_tokens=3).tokens.tolist()


def test_what_it_cannot_do_is_said(pair):
    _, model = pair
    assert isinstance(make_engine(model), ReferenceEngine)
    for engine in ("fast", "bridge"):
        with pytest.raises(InputError, match=f"runs through the reference engine alone, got engine='{engine}'"):
            make_engine(model, engine)
    ones = torch.ones(1, 4, dtype=torch.long)
    with pytest.raises(InputError, match="counts positions by itself"):
        model.bridge.run_with_hooks(ones, fwd_hooks=[], attention_mask=ones, position_ids=torch.tensor([[0, 1, 5, 6]]))
    hooked = copy.deepcopy(model.bridge.hooked)
    hooked.cfg.attention_dir = "bidirectional"
    with pytest.raises(UnsupportedModelError, match="attention is bidirectional; a decoder that generates text is needed"):
        wrap_hooked(hooked, mini_tokenizer())


def test_identity_follows_the_weights(pair):
    plain, model = pair
    assert model.revision == wrapped(plain).revision != wrapped(plain, PROCESSED).revision
    assert wrap_hooked(model.bridge.hooked, mini_tokenizer(), name="mine").eos_ids == (mini_tokenizer().eos_token_id,)
