"""Δ log p equals that of whole forwards in plain Hugging Face, for every step, set and lag, whatever shares a batch with it."""

import copy
import dataclasses
import secrets

import pytest
import torch

from mechdyn.decoding.ablation import Ablation, ReferenceActivations
from mechdyn.decoding.bridge_engine import BridgeEngine
from mechdyn.decoding.effect import effect, trace_effects
from mechdyn.decoding.fast_engine import FastEngine
from mechdyn.decoding.generate import TraceOptions
from mechdyn.decoding.reference import ReferenceEngine
from mechdyn.decoding.trace import trace
from mechdyn.errors import InputError
from mechdyn.heads import HeadSet
from mechdyn.models.load import load_model, wrap_model
from mechdyn.schedules import ByStep, Dynamic, NoAblation, Static
from mechdyn.tasks.niah import niah
from tests.architectures import STYLES, WINDOWED, tiny_model
from tests.bundled import mini_tokenizer
from tests.decoding.test_ablation import random_sample
from tests.plain import plain_forward
from tests.real_model import real_model, real_plain

N_STEPS, LAGS = 5, 3


def wrapped_pair(style, **options):
    plain = tiny_model(style, seed=11, few_words=True, **options)
    wrapped = dataclasses.replace(wrap_model(copy.deepcopy(plain), mini_tokenizer(), name=style), eos_ids=())
    plain.set_attn_implementation("eager")
    return plain, wrapped


@pytest.fixture(scope="module", params=(*STYLES, *WINDOWED))
def pair(request):
    return wrapped_pair(request.param)


@pytest.fixture(scope="module")
def llama():
    return wrapped_pair("llama3.1")


def random_masks(seed, n_steps=N_STEPS, share=0.3):
    return torch.rand(n_steps, 3, 8, generator=torch.Generator().manual_seed(seed)) < share


def plain_log_p(plain, prompt, answer, step, lag, mask=None, values=None):
    """log p of token step + lag from one whole forward, heads off at the position of `step` alone."""
    ids = torch.cat([prompt, answer[: step + lag]])
    edits = None
    if mask is not None:
        edits = torch.zeros(len(ids), *mask.shape, dtype=torch.bool)
        edits[len(prompt) - 1 + step] = mask
    return float(plain_forward(plain, ids, edits, values)[0].log_softmax(-1)[answer[step + lag]])


def assert_as_plain(plain, prompt, found, masks, lags, values=None, atol=1e-4):
    """Every number of an effect, those of steps without heads among them."""
    n_steps = found.n_steps
    for step in range(n_steps):
        clean = plain_log_p(plain, prompt, found.tokens, step, 0)
        assert float(found.clean[step]) == pytest.approx(clean, abs=atol)
        for name, mask in masks.items():
            place = found.place(name)
            assert torch.equal(found.heads[place, step], mask[step])
            for lag in range(lags + 1):
                delta = float(found.delta[place, step, lag])
                if step + lag >= n_steps:
                    assert delta != delta
                    continue
                later = plain_log_p(plain, prompt, found.tokens, step, lag)
                expected = later - plain_log_p(plain, prompt, found.tokens, step, lag, mask[step], values)
                assert delta == pytest.approx(expected, abs=atol), (name, step, lag)


def test_a_batch_of_answers_of_different_lengths_equals_plain_hugging_face(pair):
    plain, wrapped = pair
    samples = [random_sample(length, seed=length) for length in (31, 12, 20)]
    masks = {"some": random_masks(1), "one": random_masks(2, share=0.05), "all": torch.ones(N_STEPS, 3, 8, dtype=torch.bool)}
    sets = {name: Ablation(ByStep.from_masks(mask)) for name, mask in masks.items()}
    found = trace_effects(wrapped, samples, sets, lags=LAGS, options=TraceOptions.of(max_new_tokens=N_STEPS))
    for sample, each in zip(samples, found, strict=True):
        assert torch.equal(each.tokens, trace(wrapped, sample, max_new_tokens=N_STEPS).tokens)
        assert_as_plain(plain, sample.tokens, each.effect, masks, LAGS)


@pytest.mark.parametrize("engine", [FastEngine, BridgeEngine, ReferenceEngine])
def test_a_given_answer_is_followed_by_every_engine(llama, engine):
    plain, wrapped = llama
    sample, answer = random_sample(18, seed=5), torch.tensor([40, 7, 1900, 9, 300, 8])
    masks = {"a": random_masks(3, 6), "b": random_masks(4, 6)}
    found = effect(wrapped, sample, masks, tokens=answer.tolist(), lags=2, engine=engine(wrapped))
    assert torch.equal(found.tokens, answer)
    assert_as_plain(plain, sample.tokens, found, masks, 2)


def test_other_activations_take_a_heads_place_as_the_ablation_says(llama):
    plain, wrapped = llama
    z = torch.randn(5, 3, 8, wrapped.d_head, generator=torch.Generator().manual_seed(3))
    masks = random_masks(6)
    how = Ablation(ByStep.from_masks(masks), method="mean", reference=ReferenceActivations(z))
    sample = random_sample(15, seed=6)
    found = effect(wrapped, sample, {"mean": how, "zero": masks}, lags=1, max_new_tokens=N_STEPS)
    assert_as_plain(plain, sample.tokens, dataclasses.replace(found, sets=("mean", "-")), {"mean": masks}, 1, values=z.mean(dim=0))
    assert_as_plain(plain, sample.tokens, dataclasses.replace(found, sets=("-", "zero")), {"zero": masks}, 1)


def test_a_schedule_sees_the_heads_of_the_clean_answer(llama):
    _, wrapped = llama
    samples = [random_sample(24, seed=7), random_sample(17, seed=8)]
    options = TraceOptions.of(max_new_tokens=N_STEPS)
    sets = {"own": Ablation(Dynamic()), "first": Ablation(Dynamic(top_k=1)), "none": Ablation(NoAblation())}
    for found in trace_effects(wrapped, samples, sets, options=options):
        own, first, none = found.effect.heads
        assert own.any() and torch.equal(own, found.active)
        assert bool((first <= own).all()) and torch.equal(first.flatten(1).any(1), own.flatten(1).any(1)) and first.sum() < own.sum()
        assert not none.any() and bool((found.effect.of("none") == 0).all())


def test_of_an_answer_that_was_given_a_schedule_sees_what_copies_its_tokens(llama):
    """The model's own answer, given, is scored as the model's own."""
    _, wrapped = llama
    sample = random_sample(24, seed=7)
    own = effect(wrapped, sample, Dynamic(), max_new_tokens=N_STEPS)
    given = effect(wrapped, sample, Dynamic(), tokens=own.tokens)
    assert own.sets == ("heads",) and torch.equal(own.heads, given.heads)
    torch.testing.assert_close(own.off, given.off, atol=1e-5, rtol=0)


def test_sets_lags_and_samples_together_give_what_each_gives_alone(llama):
    _, wrapped = llama
    sample, masks = random_sample(20, seed=9), {name: random_masks(seed) for name, seed in (("a", 10), ("b", 11), ("c", 12))}
    together = effect(wrapped, sample, masks, lags=2, max_new_tokens=N_STEPS)
    for name, mask in masks.items():
        alone = effect(wrapped, sample, mask, max_new_tokens=N_STEPS)
        torch.testing.assert_close(together.of(name)[:, :1], alone.of("heads"), atol=1e-5, rtol=0)


def test_one_prefill_and_no_copy_of_a_prompt_a_row(llama, monkeypatch):
    _, wrapped = llama
    engine, prefills, prompts = FastEngine(wrapped), [], []
    prefill, step = FastEngine.prefill, FastEngine.step
    monkeypatch.setattr(FastEngine, "prefill", lambda self, given: prefills.append(len(given)) or prefill(self, given))

    def watched(self, state, tokens, *others):
        prompts.append((state.memory.prompts.keys[0].shape[0], len(tokens)))
        return step(self, state, tokens, *others)

    monkeypatch.setattr(FastEngine, "step", watched)
    masks = {str(seed): random_masks(seed) for seed in range(12)}
    effect(wrapped, random_sample(20, seed=9), masks, max_new_tokens=N_STEPS, engine=engine)
    assert prefills == [1]
    assert {held for held, _ in prompts} == {1} and prompts[N_STEPS:] == [(1, N_STEPS), (1, N_STEPS * len(masks))]


def test_half_precision_agrees_within_its_own():
    model, exact = load_model("mini", dtype=torch.bfloat16), load_model("mini")
    sample = niah(exact, length=256, depth=0.5, seed=3)
    masks = Static(HeadSet.of("L0H1 L2H3 L3H0"))
    answer = effect(exact, sample, masks).tokens
    one, other = (effect(each, sample, masks, tokens=answer) for each in (model, exact))
    torch.testing.assert_close(one.clean, other.clean, atol=0.15, rtol=0.05)
    assert float((one.delta - other.delta).abs().median()) < 0.05


def test_planted_heads_alone_carry_the_answer():
    """Of a model whose copying heads are known, those of the step carry its token, and a head that never copies carries nothing."""
    model = load_model("planted-dynamic")
    sample = niah(model, length=256, depth=0.5, seed=1)
    found = effect(model, sample, {"own": Dynamic(), "none": NoAblation()})
    off = found.n_off[0] > 0
    assert off.any() and float(found.of("own")[off].mean()) > 1.0
    frame = found.to_frame()
    assert len(frame) == 2 * found.n_steps and frame[frame.set == "none"].delta.eq(0).all()
    assert frame[frame.set == "own"].heads_off.tolist() == found.n_off[0].tolist()


@pytest.mark.real
def test_the_real_model_equals_plain_hugging_face():
    model, plain, seed = real_model(), real_plain(), secrets.randbits(31)
    samples = [niah(model, length=length, depth=0.5, seed=seed) for length in (256, 200)]
    n_steps, said = 6, f"seed {seed}"
    shape = (n_steps, model.n_layers, model.n_heads)
    masks = {name: torch.rand(shape, generator=torch.Generator().manual_seed(seed + index)) < 0.02 for index, name in enumerate("ab")}
    sets = {name: Ablation(ByStep.from_masks(mask)) for name, mask in masks.items()}
    found = trace_effects(model, samples, sets, lags=1, options=TraceOptions.of(max_new_tokens=n_steps))
    for sample, each in zip(samples, found, strict=True):
        effect, n_steps = each.effect, each.n_steps
        for name, mask in masks.items():
            for step in range(n_steps):
                for lag in range(min(2, n_steps - step)):
                    wanted = plain_log_p(plain, sample.tokens, effect.tokens, step, lag, mask[step])
                    assert float(effect.off[effect.place(name), step, lag]) == pytest.approx(wanted, abs=1e-4), (said, name, step, lag)


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ({}, {}, "heads_by_step must name at least one set of heads, got none"),
        ({"all": Ablation(Dynamic(), scope="all")}, {}, "the scope of 'all' must be position, got 'all'"),
        ("L9H9", {}, "head L9H9 is outside a model of 3 layers x 8 heads"),
        (torch.ones(2, 3, 8, dtype=torch.bool), {}, "heads are given for 2 steps, and there is a step 2"),
        ("L1H1", {"lags": -1}, "lags must be 0 .* or more, got -1"),
        ("L1H1", {"tokens": []}, "tokens must hold at least one token id"),
        ("L1H1", {"tokens": [5, 99_999]}, "tokens must be ids between 0 and 2047, got 5 to 99999"),
        ("L1H1", {"score": "nothing"}, "unknown score 'nothing'"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(llama, given, options, message):
    _, wrapped = llama
    with pytest.raises(InputError, match=message):
        effect(wrapped, random_sample(12, seed=1), given, **{"max_new_tokens": N_STEPS, **options})
