"""A model with a small cache in the one evaluation: greedy answers, likelihoods, and what it says it holds."""

import dataclasses

import pytest
import torch

from mechdyn.decoding.trace import trace
from mechdyn.errors import InputError
from mechdyn.improve.budgets.measure import BudgetSetting, measure_budgets
from mechdyn.improve.budgets.variant import Budgeted, cache_name
from mechdyn.improve.plain import Plain
from mechdyn.improve.stepping import bytes_a_position
from mechdyn.improve.variant import Variant
from mechdyn.models.load import wrap_model
from mechdyn.traces.budgets import KV, CacheShare
from tests.architectures import tiny_model
from tests.bundled import mini_tokenizer
from tests.decoding.test_ablation import random_sample
from tests.improve.budgets.test_measure import a_forecast, a_list

N_NEW = 6
SOURCES = ("static", "oracle", "persistence", "echo", "forecast")


@pytest.fixture(scope="module", params=["llama2", "llama3.1"])
def model(request):
    made = wrap_model(tiny_model(request.param, seed=6, few_words=True), mini_tokenizer(), name=request.param)
    return dataclasses.replace(made, eos_ids=())


def setting(model, caches):
    return BudgetSetting(caches, a_list(), a_forecast(model.d_model))


def samples():
    return [random_sample(length, seed=length) for length in (30, 44, 37)]


def test_a_whole_cache_answers_as_the_model_does(model):
    cache = CacheShare("echo", 1.0)
    variant = Budgeted(model, cache, setting(model, (cache,)))
    assert isinstance(variant, Variant) and variant.name == "echo 100 %"
    for one, two in zip(
        variant.answers(samples(), max_new_tokens=N_NEW), Plain(model).answers(samples(), max_new_tokens=N_NEW), strict=True
    ):
        assert one.tokens == two.tokens and one.cache_bytes == two.cache_bytes
    tokens = random_sample(40, seed=3).tokens
    assert torch.allclose(variant.log_probs(tokens), Plain(model).log_probs(tokens), atol=1e-4)


@pytest.mark.parametrize("source", SOURCES)
def test_an_answer_stays_the_same_where_measuring_says_so(model, source):
    """Where every token of the model's own answer is the likeliest still, it is the budget's greedy answer; else they part at the first."""
    caches = tuple(CacheShare(source, share) for share in (0.2, 0.5, 0.9))
    asked = setting(model, caches)
    plain = Plain(model).answers(samples(), max_new_tokens=N_NEW)
    for place, cache in enumerate(caches):
        answers = Budgeted(model, cache, asked).answers(samples(), max_new_tokens=N_NEW)
        for sample, answer, known in zip(samples(), answers, plain, strict=True):
            effects = measure_budgets(model, sample, trace(model, sample, score="r2", max_new_tokens=N_NEW), asked)
            assert (answer.tokens == known.tokens) == bool(effects.same[place]), cache
            kept = effects.kept[place].tolist()
            if not all(kept):
                first = kept.index(False)
                assert answer.tokens[:first] == known.tokens[:first] and answer.tokens[first] != known.tokens[first]


def test_a_batch_is_what_each_sample_is_alone(model):
    cache = CacheShare("echo", 0.3, per=KV)
    variant = Budgeted(model, cache, setting(model, (cache,)))
    together = variant.answers(samples(), max_new_tokens=N_NEW)
    assert [each.tokens for each in together] == [variant.answers([sample], max_new_tokens=N_NEW)[0].tokens for sample in samples()]


def test_a_cache_holds_what_can_come_back(model):
    sample, position = random_sample(40, seed=2), bytes_a_position(model)
    held = {}
    for cache in (CacheShare("static", 0.25, per=KV), CacheShare("echo", 0.25), CacheShare("echo", 0.25, reversible=False, per=KV)):
        (answer,) = Budgeted(model, cache, setting(model, (cache,))).answers([sample], max_new_tokens=4)
        held[cache_name(cache)] = answer.cache_bytes / position
    assert held["static 25 %, key-value heads"] == 10 + 4
    assert held["echo 25 %"] == 40 + 4
    assert held["echo 25 %, for good, key-value heads"] <= 10 + 4


def test_half_a_text_is_the_prompt_of_the_other_half(model):
    cache = CacheShare("uniform", 0.2)
    variant = Budgeted(model, cache, setting(model, (cache,)))
    tokens = torch.randint(6, 2000, (60,), generator=torch.Generator().manual_seed(5))
    ours, plain = variant.log_probs(tokens), Plain(model).log_probs(tokens)
    assert ours.shape == plain.shape
    # The half's last position is its prompt's last, which sees everything; behind it the budget holds.
    assert torch.allclose(ours[:30], plain[:30], atol=1e-4)
    assert not torch.allclose(ours[30:], plain[30:], atol=1e-3)
    assert variant.log_probs(tokens[:1]).shape == (1, 2048)


def test_the_samples_own_mean_is_not_for_decoding(model):
    cache = CacheShare("sample", 0.2)
    with pytest.raises(InputError, match="once it is answered"):
        Budgeted(model, cache, setting(model, (cache,))).answers(samples()[:1], max_new_tokens=2)
