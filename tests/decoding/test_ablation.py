"""Ablated generation equals an independent one in plain Hugging Face, under every method, scope and commit rule."""

import copy
import dataclasses

import pytest
import torch

from mechdyn.decoding.ablation import Ablation, ReferenceActivations, reference_activations
from mechdyn.decoding.fast_engine import FastEngine
from mechdyn.decoding.generate import Row, TraceOptions, generate
from mechdyn.decoding.reference import ReferenceEngine
from mechdyn.decoding.trace import trace, trace_conditions
from mechdyn.errors import InputError
from mechdyn.heads import HeadSet
from mechdyn.models.load import wrap_model
from mechdyn.schedules import Dynamic, NoAblation, RandomHeads, Static
from mechdyn.tasks.sample import Sample
from tests.architectures import LIVE, STYLES, tiny_model
from tests.bundled import mini_tokenizer
from tests.plain import last_only, plain_copy_paste, plain_forward

N_NEW = 4


@pytest.fixture(scope="module", params=STYLES)
def pair(request):
    plain = tiny_model(request.param, seed=4, few_words=True)
    wrapped = dataclasses.replace(wrap_model(copy.deepcopy(plain), mini_tokenizer(), name=request.param), eos_ids=())
    plain.set_attn_implementation("eager")
    return plain, wrapped


def random_sample(length, seed):
    """Few distinct tokens, most of them needle, so that many heads copy by chance."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(LIVE.start, LIVE.stop, (length,), generator=generator)
    needle = (torch.rand(length, generator=generator) < 0.8).nonzero().flatten()
    return Sample("niah", f"sample {seed}", tokens, ((0, 1),), needle, (0, 1), "?", "!")


def plain_ablated(plain, sample, heads_at, commit, scope="position", values=None):
    """Tokens and masks of an ablated generation, every step from whole-sequence forwards.

    `heads_at(step, scores)` chooses the heads. Under commit `ablated` the edits of past steps stay in force at their positions.
    """
    needle, ids, tokens, masks = set(sample.needle_positions.tolist()), sample.tokens, [], []
    edits = torch.zeros(len(ids), *plain_shape(plain), dtype=torch.bool)
    for step in range(N_NEW):
        logits, patterns, _ = plain_forward(plain, ids, edits, values)
        scores = plain_copy_paste(patterns, ids, needle, int(logits.argmax()))
        mask = heads_at(step, scores)
        now = edits | last_only(mask, len(ids)) if scope == "position" else mask.expand(len(ids), *mask.shape)
        token = plain_forward(plain, ids, now, values)[0].argmax()
        tokens.append(int(token))
        masks.append(mask)
        if commit == "ablated":
            edits = now
        edits = torch.cat([edits, torch.zeros(1, *mask.shape, dtype=torch.bool)])
        ids = torch.cat([ids, token[None]])
    return tokens, torch.stack(masks)


def plain_shape(plain):
    return plain.config.num_hidden_layers, plain.config.num_attention_heads


def some_heads(seed=7):
    return HeadSet.from_mask(torch.rand(3, 8, generator=torch.Generator().manual_seed(seed)) < 0.4)


@pytest.mark.parametrize("commit", ["clean", "ablated"])
def test_dynamic_ablation_equals_plain_hugging_face(pair, commit):
    plain, wrapped = pair
    sample = random_sample(24, seed=1)
    result = trace(wrapped, sample, ablate=Ablation(Dynamic(), commit=commit), max_new_tokens=N_NEW)
    tokens, masks = plain_ablated(plain, sample, lambda step, scores: scores > 0, commit)
    assert masks.any(), "the sample must have something to ablate"
    assert result.tokens.tolist() == tokens
    assert torch.equal(result.ablated, masks)


@pytest.mark.parametrize("commit", ["clean", "ablated"])
def test_the_reference_engine_keeps_the_same_keys_and_values(pair, commit):
    """It has no cache: what an ablated step leaves behind is redone at every later one."""
    plain, wrapped = pair
    samples, conditions = [random_sample(24, seed=21), random_sample(15, seed=22)], {"dynamic": Ablation(Dynamic(), commit=commit)}
    reference = trace_conditions(wrapped, samples, conditions, engine=ReferenceEngine(wrapped), max_new_tokens=N_NEW)
    for sample, found in zip(samples, reference, strict=True):
        tokens, masks = plain_ablated(plain, sample, lambda step, scores: scores > 0, commit)
        assert found["dynamic"].tokens.tolist() == tokens
        assert torch.equal(found["dynamic"].ablated, masks)


@pytest.mark.parametrize("commit", ["clean", "ablated"])
@pytest.mark.parametrize("method", ["zero", "mean"])
def test_static_ablation_equals_plain_hugging_face(pair, commit, method):
    plain, wrapped = pair
    sample, heads = random_sample(24, seed=2), some_heads()
    z = torch.randn(5, 3, 8, wrapped.d_head, generator=torch.Generator().manual_seed(3))
    ablation = Ablation(Static(heads), method=method, commit=commit, reference=ReferenceActivations(z))
    result = trace(wrapped, sample, ablate=ablation, max_new_tokens=N_NEW)
    values = z.mean(dim=0) if method == "mean" else None
    tokens, _ = plain_ablated(plain, sample, lambda step, scores: heads.mask(), commit, values=values)
    assert result.tokens.tolist() == tokens


def test_scope_all_equals_plain_hugging_face(pair):
    plain, wrapped = pair
    samples, heads = [random_sample(24, seed=3), random_sample(15, seed=4)], some_heads()
    batch = trace_conditions(wrapped, samples, {"all": Ablation(Static(heads), scope="all"), "clean": None}, max_new_tokens=N_NEW)
    for sample, found in zip(samples, batch, strict=True):
        tokens, _ = plain_ablated(plain, sample, lambda step, scores: heads.mask(), "clean", scope="all")
        assert found["all"].tokens.tolist() == tokens
        assert torch.equal(found["clean"].tokens, trace(wrapped, sample, max_new_tokens=N_NEW).tokens)


def test_resampling_takes_a_seeded_row_of_the_reference(pair):
    _, wrapped = pair
    sample = random_sample(24, seed=5)
    reference = reference_activations(wrapped, [random_sample(9, seed=6), random_sample(14, seed=7)])
    ablation = Ablation(Static(some_heads()), method="resample", reference=reference, seed=1)
    drawn = [ablation.values(sample.key, step) for step in range(12)]
    assert all(any(torch.equal(value, row) for row in reference.z) for value in drawn)
    assert any(not torch.equal(value, drawn[0]) for value in drawn)
    first, again = (trace(wrapped, sample, ablate=ablation, max_new_tokens=N_NEW) for _ in range(2))
    assert torch.equal(first.tokens, again.tokens) and torch.equal(first.ablated_scores, again.ablated_scores)


def test_reference_activations_are_the_inputs_of_o_proj(pair):
    plain, wrapped = pair
    sample, seen = random_sample(11, seed=8), []
    handles = [
        layer.self_attn.o_proj.register_forward_pre_hook(lambda module, args: seen.append(args[0][0, -1])) for layer in plain.model.layers
    ]
    plain_forward(plain, sample.tokens)
    for handle in handles:
        handle.remove()
    expected = torch.stack(seen).view(3, 8, wrapped.d_head)
    torch.testing.assert_close(reference_activations(wrapped, [sample]).z[0], expected, atol=1e-5, rtol=0)


def test_conditions_in_one_batch_equal_each_alone(pair):
    _, wrapped = pair
    samples = [random_sample(length, seed=length) for length in (12, 30, 21)]
    conditions = {
        "clean": None,
        "dynamic": Dynamic(),
        "top 2": Dynamic(top_k=2),
        "static": Static(some_heads()),
        "random": RandomHeads(5, seed=1),
        "ablated": Ablation(Dynamic(), commit="ablated"),
    }
    together = trace_conditions(wrapped, samples, conditions, max_new_tokens=N_NEW)
    for sample, found in zip(samples, together, strict=True):
        assert list(found) == list(conditions)
        for name, ablation in conditions.items():
            alone = trace(wrapped, sample, ablate=ablation, max_new_tokens=N_NEW)
            assert torch.equal(found[name].tokens, alone.tokens), name
            assert torch.equal(found[name].retrieval_scores, alone.retrieval_scores), name
            if ablation is not None:
                assert torch.equal(found[name].ablated, alone.ablated), name
                assert torch.equal(found[name].ablated_scores, alone.ablated_scores), name


def test_all_conditions_start_from_one_prefill(pair, monkeypatch):
    _, wrapped = pair
    engine, prefills = FastEngine(wrapped), []
    run = FastEngine.prefill
    monkeypatch.setattr(FastEngine, "prefill", lambda self, prompts: prefills.append(len(prompts)) or run(self, prompts))
    samples = [random_sample(12, seed=1), random_sample(20, seed=2)]
    conditions = {
        "clean": None,
        "kept": Dynamic(),
        "ablated": Ablation(Dynamic(), commit="ablated"),
        "all": Ablation(Dynamic(), scope="all"),
    }
    trace_conditions(wrapped, samples, conditions, engine=engine, max_new_tokens=2)
    assert prefills == [2]


def test_ablating_nothing_changes_no_bit(pair):
    _, wrapped = pair
    sample = random_sample(20, seed=9)
    plain = trace(wrapped, sample, max_new_tokens=N_NEW)
    for nothing in (NoAblation(), Static(HeadSet.of([], 3, 8)), Dynamic(top_k=0)):
        other = trace(wrapped, sample, ablate=nothing, max_new_tokens=N_NEW)
        assert torch.equal(plain.tokens, other.tokens)
        assert torch.equal(plain.hidden, other.hidden)
        assert torch.equal(plain.retrieval_scores, other.retrieval_scores)


def test_ablated_scores_are_those_of_the_ablated_forward(pair):
    plain, wrapped = pair
    sample, heads = random_sample(24, seed=10), some_heads()
    result = trace(wrapped, sample, ablate=Static(heads), max_new_tokens=1)
    logits, patterns, _ = plain_forward(plain, sample.tokens, last_only(heads.mask(), 24))
    expected = plain_copy_paste(patterns, sample.tokens, set(sample.needle_positions.tolist()), int(logits.argmax()))
    assert torch.equal(result.ablated_scores[0], expected)


def bad(model):
    other = HeadSet.of([(0, 0)], 5, 16)
    wrong = ReferenceActivations(torch.zeros(2, 3, 8, model.d_head + 1))
    return {
        r"the heads are of a model of 5 layers x 16 heads, this one has 3 x 8": Static(other),
        r"top_k must lie between 0 and 24 .*, got 25": Dynamic(top_k=25),
        r"k must lie between 0 and 24 .*, got 99": RandomHeads(99),
        r"reference activations are of layers x heads x d_head": Ablation(Dynamic(), method="mean", reference=wrong),
    }


def test_what_does_not_fit_the_model_is_refused_before_it_runs(pair):
    _, wrapped = pair
    for message, ablation in bad(wrapped).items():
        with pytest.raises(InputError, match=message):
            trace(wrapped, random_sample(9, seed=1), ablate=ablation)


def test_bad_ablations_are_refused_when_made():
    with pytest.raises(InputError, match=r"head L5H0 is outside a model of 3 layers x 8 heads"):
        HeadSet.of([(5, 0)], 3, 8)
    with pytest.raises(InputError, match="mean ablation needs reference activations"):
        Ablation(Dynamic(), method="mean")
    with pytest.raises(InputError, match="ablation commit must be one of clean, ablated, got 'dirty'"):
        Ablation(Dynamic(), commit="dirty")


def test_conditions_must_be_named(pair):
    _, wrapped = pair
    with pytest.raises(InputError, match="conditions must name at least one ablation, got none"):
        trace_conditions(wrapped, [random_sample(9, seed=1)], {})


def test_scope_all_refuses_hidden_positions(pair):
    _, wrapped = pair
    sample, engine = random_sample(12, seed=31), FastEngine(wrapped)
    state = engine.prefill([sample.tokens[:-1]], [torch.arange(3, 14)])
    row = Row(sample, Ablation(Static(some_heads()), scope="all"))
    with pytest.raises(InputError, match='scope "all" knows no hidden positions'):
        generate(engine, wrapped, [row], TraceOptions.of(), state)
