"""What each cache does to an answer, against whole forwards of plain eager attention with −inf at what was dropped."""

import copy
import dataclasses

import pytest
import torch

from mechdyn.decoding.fast_engine import FastEngine
from mechdyn.decoding.trace import trace
from mechdyn.errors import InputError, UnsupportedModelError
from mechdyn.heads import Head, rank_heads
from mechdyn.improve.budgets import measure
from mechdyn.improve.budgets.allocation import Allotment, budgets, scores_of
from mechdyn.improve.budgets.measure import BudgetSetting, measure_budgets, orders_of, trace_budgets
from mechdyn.improve.budgets.positions import by_group, kept, places, pooled_attention, to_heads, window_rows
from mechdyn.improve.budgets.rows import BudgetRows, CacheRow, Telling
from mechdyn.models.load import wrap_model
from mechdyn.probes.forecast import Forecast
from mechdyn.scores.r2 import r2
from mechdyn.scores.score import score_row
from mechdyn.traces.budgets import KV, SOURCES, BudgetEffects, CacheShare
from tests.architectures import tiny_model
from tests.bundled import mini_tokenizer
from tests.decoding.test_ablation import random_sample
from tests.decoding.test_evicted import plain_with_masks

N_STEPS = 5


def pair(style):
    plain = tiny_model(style, seed=4, few_words=True)
    model = dataclasses.replace(wrap_model(copy.deepcopy(plain), mini_tokenizer(), name=style), eos_ids=())
    plain.set_attn_implementation("eager")
    return plain, model


@pytest.fixture(scope="module", params=["llama2", "llama3.1"])
def models(request):
    return pair(request.param)


def a_list(seed=0):
    values = torch.rand(3, 8, generator=torch.Generator().manual_seed(seed)) ** 3
    return scores_of(rank_heads([(Head(i, j), float(values[i, j])) for i in range(3) for j in range(8)], 3, 8), 3, 8)


def a_forecast(d_model, seed=1):
    draws = torch.Generator().manual_seed(seed)
    shapes = ((d_model,), (d_model, 4), (4, 24), (24,))
    return Forecast(*(torch.randn(*shape, generator=draws) for shape in shapes), 3)


def expected(plain, model, sample, answer, cache, setting):
    """log p of each token and what was seen at each step, from whole forwards; scores are worked out from the plain rows of the step."""
    how = Allotment.of_prompt(cache.fraction, len(sample), window=setting.window)
    pooled = pooled_attention(window_rows(model, sample.tokens, setting.window), how)
    n_kv = plain.config.num_key_value_heads
    order = places(by_group(pooled, n_kv, "mean") if cache.per == KV else pooled)
    n, needle, hidden, log_p, shown, told, last = len(sample), sample.needle_positions, {}, [], [], None, None

    def score(rows, ids, token):
        return torch.stack([score_row("r2", layer, ids, needle, token) for layer in rows])

    for step in range(N_STEPS):
        ids = torch.cat([sample.tokens, answer[:step]])
        if step:
            if cache.source == "oracle":
                _, rows = plain_with_masks(plain, ids, hidden)
                told = score(rows, ids, int(answer[step]))
            scores = {"uniform": torch.ones(3, 8), "static": setting.static}.get(cache.source, told)
            own = by_group(scores, n_kv, "max") if cache.per == KV else scores
            seen = kept(order, budgets(own, how, order.shape[-1]), how.window)
            seen = to_heads(seen, 8) if cache.per == KV else seen
            seen = seen if cache.reversible or last is None else seen & last
            hidden[n - 1 + step] = ~seen
            shown.append(seen)
            last = seen
        logits, rows = plain_with_masks(plain, ids, hidden)
        log_p.append(float(logits.log_softmax(-1)[answer[step]]))
        if cache.source == "persistence":
            told = score(rows, ids, int(answer[step]))
        if cache.source == "echo":
            told = torch.where(sample.tokens == answer[step], rows[..., :n], 0.0).sum(dim=-1)
    return torch.tensor(log_p), shown


CACHES = (
    *(CacheShare(source, 0.3) for source in ("uniform", "static", "oracle", "persistence", "echo")),
    CacheShare("oracle", 0.3, reversible=False),
    CacheShare("static", 0.2, per=KV),
    CacheShare("echo", 0.2, per=KV),
)


def test_every_cache_equals_whole_forwards_with_minus_infinity(models):
    plain, model = models
    sample = random_sample(36, seed=5)
    found = trace(model, sample, score="r2", max_new_tokens=N_STEPS)
    setting = BudgetSetting(CACHES, a_list())
    effects = measure_budgets(model, sample, found, setting)
    n_kv = plain.config.num_key_value_heads
    assert torch.allclose(effects.clean, torch.stack([_clean(plain, sample, found, step) for step in range(N_STEPS)]), atol=1e-4)
    for place, cache in enumerate(CACHES):
        log_p, shown = expected(plain, model, sample, found.tokens, cache, setting)
        assert torch.allclose(effects.log_p[place], log_p, atol=2e-4), cache
        assert float(effects.seen[place]) == pytest.approx(sum(float(seen.sum()) / 24 for seen in shown) / len(shown)), cache
        held = [seen.unflatten(1, (n_kv, -1)).any(dim=2).sum().item() / (3 * n_kv) for seen in shown]
        assert float(effects.held[place]) == pytest.approx(sum(held) / len(held)), cache


def _clean(plain, sample, found, step):
    logits, _ = plain_with_masks(plain, torch.cat([sample.tokens, found.tokens[:step]]), {})
    return logits.log_softmax(-1)[found.tokens[step]]


def test_the_total_holds_at_every_step(models):
    _, model = models
    engine, sample = FastEngine(model), random_sample(40, seed=7)
    sources = ("oracle", "persistence", "echo", "forecast")
    caches = [CacheShare(source, share, per=per) for source in sources for share in (0.1, 0.25, 0.6) for per in ("query", KV)]
    orders, n_kv = orders_of(model, sample, 8), model.bridge.cfg.n_key_value_heads or 8
    made = [CacheRow(sample, cache, Allotment.of_prompt(cache.fraction, 40), orders, None, (8, n_kv)) for cache in caches]
    state = engine.fork(engine.prefill([sample.tokens[:-1]]), [0] * len(caches))
    batch = BudgetRows(engine, state, made, Telling(r2, a_forecast(model.d_model)), 8)
    token = sample.tokens[-1].repeat(len(caches))
    moved = set()
    for step in range(6):
        before = [row.seen for row in made]
        token = batch.step(token).logits.argmax(dim=-1)
        for row, old in zip(made, before, strict=True):
            if step:
                assert int(row.seen.sum()) == row.how.capacity * 24, (row.cache, step)
                assert row.held == row.how.capacity if row.cache.per == KV else row.held >= row.how.capacity
            if old is not None and not torch.equal(old, row.seen):
                moved.add(row.cache.source)
                assert row.back > 0 or row.cache.per == "query"
    assert moved == set(sources)


def test_the_whole_prompt_is_no_compression(models):
    _, model = models
    sample = random_sample(30, seed=9)
    found = trace(model, sample, score="r2", max_new_tokens=N_STEPS)
    setting = BudgetSetting(tuple(CacheShare(source, 1.0) for source in SOURCES), a_list(), a_forecast(model.d_model))
    effects = measure_budgets(model, sample, found, setting)
    assert torch.equal(effects.log_p, effects.clean.expand_as(effects.log_p))
    assert effects.same.all() and (effects.loss == 0).all() and (effects.held == 30).all() and (effects.back == 0).all()
    assert (effects.bytes_held == effects.bytes_whole).all()


def test_a_needleless_step_deals_evenly_and_random_dealing_is_the_samples_own(models):
    _, model = models
    one, two = random_sample(30, seed=1), dataclasses.replace(random_sample(30, seed=2), needle_positions=torch.zeros(0, dtype=torch.long))
    setting = BudgetSetting((CacheShare("random", 0.2), CacheShare("uniform", 0.2), CacheShare("oracle", 0.2)), a_list())
    drawn = [setting.fixed(setting.caches[0], model, sample) for sample in (one, one, two)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    assert torch.equal(drawn[0].flatten().sort().values, setting.static.flatten().sort().values)
    effects = measure_budgets(model, two, trace(model, two, score="r2", max_new_tokens=3), setting)
    assert torch.equal(effects.log_p[1], effects.log_p[2])


def test_many_caches_run_in_parts_where_their_masks_are_large(models, monkeypatch):
    _, model = models
    sample = random_sample(30, seed=11)
    found, setting = trace(model, sample, score="r2", max_new_tokens=N_STEPS), BudgetSetting(CACHES, a_list())
    whole = measure_budgets(model, sample, found, setting)
    monkeypatch.setattr(measure, "_MASK_BYTES", 3 * 24 * 30)
    parts = measure_budgets(model, sample, found, setting)
    assert parts.caches == whole.caches and torch.equal(parts.kept, whole.kept) and torch.equal(parts.held, whole.held)
    assert torch.allclose(parts.log_p, whole.log_p, atol=1e-5)


def test_traces_carry_it_and_json_keeps_it(models):
    _, model = models
    samples = [random_sample(26, seed=1), random_sample(33, seed=2)]
    setting = BudgetSetting((CacheShare("static", 0.25), CacheShare("echo", 0.25, False)), a_list())
    for sample, found in zip(samples, trace_budgets(model, samples, setting), strict=True):
        assert found.sample == sample.key and found.budgets.caches == setting.caches
        again = BudgetEffects.from_json(found.budgets.as_json())
        assert again.caches == setting.caches and torch.equal(again.kept, found.budgets.kept)
        assert torch.allclose(again.log_p, found.budgets.log_p, atol=1e-6) and torch.allclose(again.held, found.budgets.held, atol=1e-6)
        assert len(found.budgets.to_frame()) == 2 * found.n_steps


@pytest.mark.parametrize(("wrong", "said"), [
    (lambda: BudgetSetting(()), "at least one cache"),
    (lambda: CacheShare("snapkv", 0.1), "one of uniform, random, static"),
    (lambda: CacheShare("static", 0.0), "above 0 and at most 1"),
    (lambda: CacheShare("static", 1.5), "got 1.5"),
    (lambda: CacheShare("static", 0.1, per="layer"), "query head"),
    (lambda: BudgetSetting((CacheShare("static", 0.1),)), "scores of a list"),
    (lambda: BudgetSetting((CacheShare("forecast", 0.1),)), "fit_forecast"),
    (lambda: BudgetSetting((CacheShare("uniform", 0.1),), beta=0.2), "β must be"),
    (lambda: BudgetSetting((CacheShare("uniform", 0.1),), window=0), "last position"),
    (lambda: BudgetSetting.from_json({"caches": "none"}, 3, 8), "written as setting_json"),
])  # fmt: skip
def test_what_cannot_be_asked_is_one_line(wrong, said):
    with pytest.raises(InputError, match=said) as error:
        wrong()
    assert "\n" not in str(error.value)


def test_a_list_of_another_model_and_an_engine_that_cannot_are_refused(models):
    _, model = models
    sample = random_sample(20, seed=3)
    found = trace(model, sample, score="r2", max_new_tokens=2)
    with pytest.raises(InputError, match="take a list of this model"):
        measure_budgets(model, sample, found, BudgetSetting((CacheShare("static", 0.5),), torch.ones(3, 4)))
    with pytest.raises(InputError, match="of another prompt"):
        measure_budgets(model, random_sample(21, seed=3), found, BudgetSetting((CacheShare("uniform", 0.5),)))
    with pytest.raises(UnsupportedModelError, match="engine='fast'"):
        measure_budgets(model, sample, found, BudgetSetting((CacheShare("uniform", 0.5),)), engine="bridge")
    with pytest.raises(InputError, match="fit one on this model"):
        BudgetSetting((CacheShare("forecast", 0.5),), forecast=Forecast(*map(torch.zeros, (4, (4, 1), (1, 6), 6)), 2)).check(model)
