"""Traces equal an independent computation from plain Hugging Face eager attentions."""

import copy
import dataclasses

import pytest
import torch

from mechdyn.decoding.engines import make_engine
from mechdyn.decoding.fast_engine import FastEngine
from mechdyn.decoding.reference import ReferenceEngine
from mechdyn.decoding.trace import trace, trace_many
from mechdyn.errors import InputError
from mechdyn.models.load import wrap_model
from mechdyn.tasks.sample import Sample
from tests.architectures import LIVE, STYLES, tiny_model
from tests.bundled import mini_tokenizer
from tests.plain import plain_copy_paste, plain_forward

N_NEW = 5


@pytest.fixture(scope="module", params=STYLES)
def pair(request):
    plain = tiny_model(request.param, seed=3, few_words=True)
    wrapped = wrap_model(copy.deepcopy(plain), mini_tokenizer(), name=request.param)
    plain.set_attn_implementation("eager")
    return plain, wrapped


def random_sample(length, seed):
    """Few distinct tokens, most of them needle, so that many heads copy by chance."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(LIVE.start, LIVE.stop, (length,), generator=generator)
    needle = (torch.rand(length, generator=generator) < 0.8).nonzero().flatten()
    return Sample("niah", f"sample {seed}", tokens, ((0, 1),), needle, (0, 1), "?", "!")


def expected(plain, sample, n_new, eos_ids):
    """Greedy tokens, Eq. 1 for every head and step, hidden states."""
    needle = set(sample.needle_positions.tolist())
    ids, tokens, scores, hiddens = sample.tokens, [], [], []
    for _ in range(n_new):
        logits, patterns, hidden = plain_forward(plain, ids)
        predicted = int(logits.argmax())
        if predicted in eos_ids:
            break
        tokens.append(predicted)
        scores.append(plain_copy_paste(patterns, ids, needle, predicted))
        hiddens.append(hidden)
        ids = torch.cat([ids, torch.tensor([predicted])])
    return tokens, torch.stack(scores), torch.stack(hiddens)


def test_trace_equals_plain_hugging_face(pair):
    plain, wrapped = pair
    sample = random_sample(33, seed=1)
    result = trace(wrapped, sample, max_new_tokens=N_NEW)
    tokens, scores, hidden = expected(plain, sample, N_NEW, wrapped.eos_ids)
    assert result.tokens.tolist() == tokens
    assert scores.any(), "the sample must have something to find"
    assert torch.equal(result.retrieval_scores, scores)
    torch.testing.assert_close(result.hidden, hidden, atol=1e-4, rtol=0)


def test_batches_and_all_engines_agree_with_solo_runs(pair):
    _, wrapped = pair
    samples = [random_sample(length, seed=10 + length) for length in (18, 40, 25)]
    solo = [trace(wrapped, sample, max_new_tokens=N_NEW) for sample in samples]
    batched = list(trace_many(wrapped, samples, batch_size=3, max_new_tokens=N_NEW))
    bridge = list(trace_many(wrapped, samples, batch_size=2, max_new_tokens=N_NEW, engine="bridge"))
    reference = list(trace_many(wrapped, samples, batch_size=3, max_new_tokens=N_NEW, engine=ReferenceEngine(wrapped)))
    for one, *others in zip(solo, batched, bridge, reference, strict=True):
        for other in others:
            assert torch.equal(one.tokens, other.tokens)
            assert torch.equal(one.retrieval_scores, other.retrieval_scores)
            torch.testing.assert_close(one.hidden, other.hidden, atol=1e-4, rtol=0)


def test_rows_that_end_early_leave_the_others_alone(pair):
    """Calling a frequent token an end makes rows of a batch stop at different steps."""
    _, wrapped = pair
    samples = [random_sample(20 + 3 * index, seed=30 + index) for index in range(4)]
    free = [trace(wrapped, sample, max_new_tokens=N_NEW) for sample in samples]
    ends = {int(free[0].tokens[0]), int(free[1].tokens[2])}
    ending = dataclasses.replace(wrapped, eos_ids=tuple(ends))
    for one, whole in zip(trace_many(ending, samples, batch_size=4, max_new_tokens=N_NEW), free, strict=True):
        n_kept = next((step for step, token in enumerate(whole.tokens.tolist()) if token in ends), N_NEW)
        assert one.tokens.tolist() == whole.tokens.tolist()[:n_kept]
        assert one.stopped == ("eos" if n_kept < N_NEW else "length")
        assert torch.equal(one.retrieval_scores, whole.retrieval_scores[:n_kept])


def test_patterns_are_rows_over_the_visible_positions(pair):
    _, wrapped = pair
    samples = [random_sample(12, seed=50), random_sample(19, seed=51)]
    for sample, result in zip(samples, trace_many(wrapped, samples, batch_size=2, max_new_tokens=3, keep_patterns=True), strict=True):
        assert result.patterns.shape[-1] == len(sample) + result.n_steps - 1
        torch.testing.assert_close(result.patterns.sum(dim=-1), torch.ones(result.patterns.shape[:-1]))


def test_a_prompt_beyond_the_context_is_refused(pair):
    _, wrapped = pair
    short = dataclasses.replace(wrapped, n_ctx=16)
    with pytest.raises(InputError, match=r"the prompt has 33 tokens and .* holds 16 positions"):
        trace(short, random_sample(33, seed=1))


def test_generation_ends_at_the_context(pair):
    _, wrapped = pair
    short = dataclasses.replace(wrapped, n_ctx=36, eos_ids=())
    result = trace(short, random_sample(33, seed=1), max_new_tokens=50)
    assert (result.n_steps, result.stopped) == (3, "length")


def test_infinite_logits_stop_the_sample_and_are_recorded(pair):
    plain, _ = pair
    broken = copy.deepcopy(plain)
    with torch.no_grad():
        broken.model.norm.weight.fill_(float("nan"))
    result = trace(wrap_model(broken, mini_tokenizer(), name="broken"), random_sample(12, seed=2))
    assert (result.stopped, result.n_steps) == ("error", 0)


def test_auto_is_the_fast_engine_on_all_styles(pair):
    _, wrapped = pair
    assert isinstance(make_engine(wrapped), FastEngine)
    with pytest.raises(InputError, match="engine must be one of auto, bridge, fast, static or an engine, got 'quick'"):
        make_engine(wrapped, "quick")


def test_on_step_sees_the_trace_grow_and_can_end_it(pair):
    _, wrapped = pair
    sample = random_sample(20, seed=4)
    seen = []
    result = trace(wrapped, sample, max_new_tokens=4, on_step=seen.append)
    recorded = [step for step in seen if step.n_steps > 0]
    assert [step.tokens.tolist() for step in recorded[: result.n_steps]] == [
        result.tokens[:n].tolist() for n in range(1, result.n_steps + 1)
    ]
    assert {step.stopped for step in seen[:-1]} <= {""} and seen[-1].stopped == result.stopped
    torch.testing.assert_close(seen[0].retrieval_scores, result.retrieval_scores[:1])

    class Enough(Exception):
        pass

    calls = []

    def cancel(so_far):
        calls.append(so_far.n_steps)
        if so_far.n_steps == 2:
            raise Enough

    with pytest.raises(Enough):
        trace(wrapped, sample, max_new_tokens=4, on_step=cancel)
    assert calls == [1, 2]
