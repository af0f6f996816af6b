"""Every method at every scope equals plain Hugging Face code of its own, on all engines; a saved checkpoint is zero at scope all."""

import copy
import dataclasses
import secrets
from functools import cache

import pytest
import torch

from mechdyn.decoding import capture
from mechdyn.decoding.ablation import METHODS, SCOPES, Ablation, ReferenceActivations, ablation_from_json
from mechdyn.decoding.bridge_engine import BridgeEngine
from mechdyn.decoding.engine import HeadEdit
from mechdyn.decoding.fast_engine import FastEngine
from mechdyn.decoding.reference import ReferenceEngine
from mechdyn.decoding.trace import trace, trace_conditions
from mechdyn.errors import InputError, UnsupportedModelError
from mechdyn.heads import HeadSet
from mechdyn.models.load import load_model, wrap_model
from mechdyn.schedules import Dynamic, Static
from mechdyn.tasks.niah import niah
from mechdyn.tasks.sample import Sample
from tests.architectures import BIASED, LIVE, STYLES, WINDOW, WINDOWED, tiny_model
from tests.bundled import mini_tokenizer
from tests.plain import plain_forward
from tests.real_model import real_model, real_plain

ENGINES = {"fast": FastEngine, "bridge": BridgeEngine, "reference": ReferenceEngine}
SOME = ("llama3.1", "llama2", "mistral", "gemma3", "gpt-oss", BIASED)
"""Grouped and single key-value heads, windows in all layers and in some, sinks, biases of every projection."""
N_NEW = 5
TOLERANCE = 1e-4


@cache
def pair(style):
    """The same weights twice: plain Hugging Face with eager attention, and under hooks."""
    plain = tiny_model(style, seed=6, few_words=True)
    wrapped = dataclasses.replace(wrap_model(copy.deepcopy(plain), mini_tokenizer(), name=style), eos_ids=())
    plain.set_attn_implementation("eager")
    return plain, wrapped


def prompts_of(lengths, seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(LIVE.start, LIVE.stop, (length,), generator=generator) for length in lengths]


def sample_of(prompt):
    return Sample("niah", f"{len(prompt)} tokens", prompt, (), torch.arange(5), (0, 1), "?", "!")


def heads_off(model, seed=7):
    return torch.rand(model.n_layers, model.n_heads, generator=torch.Generator().manual_seed(seed)) < 0.4


def reference_of(model, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return ReferenceActivations(torch.randn(5, model.n_layers, model.n_heads, model.d_head, generator=generator))


def at_positions(mask, scope, n_prompt, n_positions):
    """The mask of every position: which ones an ablation of this scope has reached when the last position is fed."""
    first = {"position": n_positions - 1, "decode": n_prompt - 1, "all": 0}[scope]
    masks = torch.zeros(n_positions, *mask.shape, dtype=torch.bool)
    masks[first:] = mask
    return masks


@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.parametrize("style", [*STYLES, *WINDOWED, BIASED])
def test_uniform_steps_of_a_padded_batch_are_plain_forwards(style, kind):
    """The first and the third step: what uniform heads left in keys and values stays. Other rows of the batch zero their heads or not."""
    plain, model = pair(style)
    prompts, fed = prompts_of((2 * WINDOW + 9, 9, 23, WINDOW), seed=1), torch.stack(prompts_of([3] * 4, seed=2))
    engine, mask = ENGINES[kind](model), heads_off(model)
    none = torch.zeros_like(mask)
    edit = HeadEdit(torch.stack([mask, mask, mask, none]), averaged=torch.tensor([True, True, False, True]))
    state = engine.prefill(prompts)
    for step in range(3):
        observed, _ = engine.step(state, fed[:, step])
        output, state = engine.step(state, fed[:, step], edit, observed)
        for row, prompt in enumerate(prompts) if step != 1 else ():
            ids = torch.cat([prompt, fed[row, : step + 1]])
            masks = at_positions(edit.mask[row], "decode", len(prompt) + 1, len(ids))
            logits, patterns, _ = plain_forward(plain, ids, masks, uniform=row != 2)
            torch.testing.assert_close(output.logits[row], logits, atol=TOLERANCE, rtol=0)
            visible = state.visible[row].bool()
            for layer, pattern in enumerate(patterns):
                torch.testing.assert_close(output.patterns[layer][row][:, visible], pattern, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("style", SOME)
def test_uniform_at_every_position_is_a_plain_forward(style):
    plain, model = pair(style)
    prompts, token = prompts_of((2 * WINDOW + 9, 9), seed=4), torch.tensor([LIVE.start, LIVE.start + 1])
    mask, engine = heads_off(model), ReferenceEngine(model)
    edit = HeadEdit(mask.expand(2, *mask.shape), whole=True, averaged=torch.tensor([True, True]))
    output, _ = engine.step(engine.prefill(prompts), token, edit)
    for row, prompt in enumerate(prompts):
        ids = torch.cat([prompt, token[row : row + 1]])
        logits, _, _ = plain_forward(plain, ids, at_positions(mask, "all", len(ids), len(ids)), uniform=True)
        torch.testing.assert_close(output.logits[row], logits, atol=TOLERANCE, rtol=0)


def plain_text(plain, prompt, ablation, scope, mask, sample):
    """Greedy tokens of a fixed list switched off, each from whole-sequence forwards."""
    ids = prompt
    for step in range(N_NEW):
        masks = at_positions(mask, scope, len(prompt), len(ids))
        logits, _, _ = plain_forward(plain, ids, masks, ablation.values(sample, step), uniform=ablation.method == "uniform")
        ids = torch.cat([ids, logits.argmax()[None]])
    return ids[len(prompt) :].tolist()


@pytest.mark.parametrize(
    ("method", "scope"),
    [(method, scope) for method in METHODS for scope in SCOPES if (method, scope) != ("resample", "decode")],  # which has a test of its own
)
@pytest.mark.parametrize("style", SOME)
def test_every_method_at_every_scope_writes_what_plain_code_writes(style, method, scope):
    """Two prompts of different lengths in one batch, beside one with every head on."""
    plain, model = pair(style)
    mask = heads_off(model)
    ablation = Ablation(Static(HeadSet.from_mask(mask)), method=method, scope=scope, reference=reference_of(model), seed=2)
    samples = [sample_of(prompt) for prompt in prompts_of((30, 12), seed=5)]
    found = trace_conditions(model, samples, {"off": ablation, "clean": None}, max_new_tokens=N_NEW)
    for sample, traces in zip(samples, found, strict=True):
        assert traces["off"].tokens.tolist() == plain_text(plain, sample.tokens, ablation, scope, mask, sample.key)
        assert (traces["off"].ablated == mask).all()
        assert torch.equal(traces["clean"].tokens, trace(model, sample, max_new_tokens=N_NEW).tokens)


def test_resampled_values_stay():
    """Scope decode: each generated position keeps the draw of its own step."""
    _, model = pair("llama3.1")
    mask, (prompt,) = heads_off(model), prompts_of((20,), seed=8)
    sample = sample_of(prompt)
    ablation = Ablation(Static(HeadSet.from_mask(mask)), method="resample", scope="decode", reference=reference_of(model))
    found = trace(model, sample, ablate=ablation, max_new_tokens=N_NEW)
    drawn = [ablation.values(sample.key, step) for step in range(N_NEW)]
    ids = torch.cat([prompt, found.tokens])
    engine = ReferenceEngine(model)
    state = engine.prefill([prompt[:-1]])
    for step in range(N_NEW):
        fed = ids[len(prompt) - 1 + step][None]
        output, state = engine.step(state, fed, HeadEdit(mask[None], drawn[step][None]))
        assert int(output.logits.argmax()) == int(found.tokens[step])


@pytest.mark.parametrize("style", ["llama3.1", "llama2", "mistral", "gpt-oss", BIASED])
def test_zeroed_columns_of_a_saved_checkpoint_are_zero_at_scope_all(style, tmp_path):
    """RetMask's way: columns of W_O are zero, its bias stays; saved, loaded again and generated from by transformers alone."""
    plain, model = pair(style)
    mask, (prompt,) = heads_off(model), prompts_of((40,), seed=9)
    edited = copy.deepcopy(plain)
    for layer, block in enumerate(edited.model.layers):
        columns = mask[layer].repeat_interleave(block.self_attn.head_dim)
        block.self_attn.o_proj.weight.data[:, columns] = 0.0
        assert (getattr(block.self_attn.o_proj, "bias", None) is not None) == (style in ("gpt-oss", BIASED))
    edited.save_pretrained(tmp_path)
    loaded = type(plain).from_pretrained(tmp_path, attn_implementation="eager").eval()
    row = prompt[None]
    options = {"max_new_tokens": N_NEW, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    wanted = loaded.generate(row, attention_mask=torch.ones_like(row), **options)[0, len(prompt) :].tolist()
    sample = sample_of(prompt)
    off = Static(HeadSet.from_mask(mask))
    found = trace(model, sample, ablate=Ablation(off, scope="all"), max_new_tokens=N_NEW)
    assert found.tokens.tolist() == wanted


def test_decode_is_another_name():
    decode, spelled_out = Ablation(Dynamic(), scope="decode"), Ablation(Dynamic(), commit="ablated")
    assert decode == spelled_out and decode.as_json() == spelled_out.as_json()
    assert decode.as_json()["scope"] == "position"
    assert Ablation(Dynamic(), scope="decode", commit="ablated") == decode
    assert ablation_from_json({"schedule": {"kind": "dynamic"}, "scope": "decode"}, 2, 2) == decode
    with pytest.raises(InputError, match="scope decode keeps the ablated forward's keys and values"):
        Ablation(Dynamic(), scope="decode", commit="clean")


def test_uniform_needs_no_reference_and_is_stored_by_name():
    content = Ablation(Dynamic(), method="uniform", scope="decode").as_json()
    assert content == {"schedule": {"kind": "dynamic", "top_k": None}, "method": "uniform", "scope": "position", "commit": "ablated"}
    assert ablation_from_json(content, 2, 2).as_json() == content


@pytest.mark.parametrize("model", ["mini", "planted-static", "planted-dynamic"])
def test_engines_agree_on_bundled_models(model):
    model = load_model(model, device="cpu")
    samples = [niah(model, length=length, depth=0.4, seed=length) for length in (96, 130)]
    off = Static(HeadSet.from_mask(heads_off(model)))
    conditions = {scope: Ablation(off, method="uniform", scope=scope) for scope in ("position", "decode", "all")}
    fast, bridge = (trace_conditions(model, samples, conditions, engine=name, max_new_tokens=12) for name in ("fast", "bridge"))
    for one, other in zip(fast, bridge, strict=True):
        for scope in conditions:
            assert torch.equal(one[scope].tokens, other[scope].tokens), scope
            assert torch.equal(one[scope].ablated_scores, other[scope].ablated_scores), scope


def test_an_attention_that_shows_its_rows_too_late_is_refused(monkeypatch):
    """Such a bridge would leave the heads as they are, without a word."""
    _, model = pair("llama3.1")
    hooks = capture.edit_hooks
    monkeypatch.setattr(
        "mechdyn.decoding.bridge_engine.edit_hooks", lambda *args: [hook for hook in hooks(*args) if "hook_pattern" not in hook[0]]
    )
    engine = BridgeEngine(model)
    edit = HeadEdit(torch.ones(1, model.n_layers, model.n_heads, dtype=torch.bool), averaged=torch.tensor([True]))
    with pytest.raises(UnsupportedModelError, match="uniform ablation needs an attention whose rows can be edited"):
        engine.step(engine.prefill(prompts_of((9,), 1)), torch.tensor([7]), edit)


@pytest.mark.real
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("method", ["zero", "uniform"])
def test_a_real_model_writes_what_eager_code_writes(method, scope):
    """A tenth of the heads off. Plain code reads the whole sequence; the first, a middle and the last token are held against it."""
    model, plain, seed = real_model(), real_plain(), secrets.randbits(31)
    sample, off = niah(model, length=160, depth=0.5, seed=seed), torch.rand(model.n_layers, model.n_heads) < 0.1
    n_new = 12 if scope != "all" else 3
    found = trace(model, sample, ablate=Ablation(Static(HeadSet.from_mask(off)), method, scope), max_new_tokens=n_new)
    ids = torch.cat([sample.tokens, found.tokens])
    for step in {0, found.n_steps // 2, found.n_steps - 1}:
        n_read = len(sample.tokens) + step
        masks = at_positions(off, scope, len(sample.tokens), n_read)
        logits, _, _ = plain_forward(plain, ids[:n_read], masks, uniform=method == "uniform")
        assert int(logits.argmax()) == int(found.tokens[step]), (seed, step)
