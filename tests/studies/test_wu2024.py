"""The properties of retrieval heads that lists alone can show: each verdict on lists whose truth is known."""

import math
import random

import numpy as np
import pytest
from scipy import stats

from mechdyn.errors import InputError
from mechdyn.evidence import Outcome
from mechdyn.heads import Head, RankedHeads, Spread, rank_heads, read_heads
from mechdyn.studies.wu2024 import intrinsic, retrieval_heads, sparse, universal, verdicts
from tests.real_data import real_data

SUPPORTED, REFUTED, INCONCLUSIVE = Outcome.SUPPORTED, Outcome.REFUTED, Outcome.INCONCLUSIVE


def sampled(seed, strong, *, n_layers=10, n_heads=20, n=60, noise=0.05, level=0.5):
    """A list with samples' scores: `strong` heads about `level`, the others about 0."""
    rng = np.random.default_rng(seed)
    heads = [Head(layer, head) for layer in range(n_layers) for head in range(n_heads)]
    chosen = set(random.Random(seed).sample(heads, strong))
    rows = {head: (level * (head in chosen) + noise * rng.standard_normal(n)).tolist() for head in heads}
    ranked = rank_heads(((head, math.fsum(row) / n) for head, row in rows.items()), n_layers, n_heads)
    spread = tuple(Spread.of(rows[head]) for head in ranked.heads)
    return RankedHeads(ranked.heads, ranked.scores, n_layers, n_heads, n=n, spread=spread)


def test_heads_are_counted_by_the_interval_of_each_mean():
    ranked = sampled(0, 40, noise=0.1, n=12, level=0.12)
    intervals = [stats.t.interval(0.95, each.n - 1, loc=np.mean(each.values), scale=stats.sem(each.values)) for each in ranked.spread]
    found = retrieval_heads(ranked)
    assert found.estimate == sum(np.mean(each.values) >= 0.1 for each in ranked.spread)
    assert (found.low, found.high) == (sum(low >= 0.1 for low, _ in intervals), sum(high >= 0.1 for _, high in intervals))
    assert found.low < found.estimate < found.high and found.n == 12


@pytest.mark.parametrize(("strong", "verdict"), [(6, SUPPORTED), (15, INCONCLUSIVE), (40, REFUTED), (0, INCONCLUSIVE)])
def test_sparse_goes_by_the_share_of_heads(strong, verdict):
    found = sparse("m", sampled(strong, strong))
    assert found.outcome is verdict
    share = found.find("share of heads with a score of 0.1 or more").interval
    assert share.estimate == strong / 200 and share.low <= share.estimate <= share.high


def test_without_spread_there_is_no_verdict_and_without_scores_no_count():
    ranked = sampled(1, 4)
    bare = RankedHeads(ranked.heads, ranked.scores, 10, 20)
    found = sparse("m", bare)
    assert found.outcome is INCONCLUSIVE and found.evidence[1].interval.estimate == 4 and math.isnan(found.evidence[1].interval.low)
    assert universal({str(each): bare for each in range(6)}).outcome is INCONCLUSIVE
    with pytest.raises(InputError, match="retrieval heads are counted by their scores, and this list has none"):
        sparse("m", RankedHeads((Head(0, 0),), (math.nan,), 1, 1))
    with pytest.raises(InputError, match="how many heads the model has, which this list does not say"):
        sparse("m", RankedHeads((Head(0, 0),), (1.0,)))


@pytest.mark.parametrize(
    ("kept", "verdict"), [(20, SUPPORTED), (14, SUPPORTED), (13, INCONCLUSIVE), (9, INCONCLUSIVE), (2, REFUTED), (0, REFUTED)]
)
def test_intrinsic_goes_by_the_heads_that_stay(kept, verdict):
    base = sampled(3, 20)
    heads = (*base.heads[:kept], *base.heads[20:40], *base.heads[kept:20], *base.heads[40:])
    derived = RankedHeads(heads, (math.nan,) * 200, 10, 20)
    found = intrinsic("d", base, derived)
    assert found.outcome is verdict and found.facts["shared"] == kept
    assert found.find("Jaccard", k=20).interval.estimate == pytest.approx(kept / (40 - kept))


def test_lists_drawn_at_random_are_rarely_called_the_same():
    """Of random pairs about 5 % or fewer pass the test at 0.05, and none is supported."""
    outcomes, heads = [], sampled(0, 0).heads
    for seed in range(300):
        rng = random.Random(seed)
        one, other = (RankedHeads(tuple(rng.sample(heads, 20)), (math.nan,) * 20, 10, 20) for _ in range(2))
        outcomes.append(intrinsic("d", one, other).outcome)
    assert outcomes.count(SUPPORTED) == 0 and outcomes.count(REFUTED) >= 0.93 * 300


def test_universal_needs_five_lists_with_a_sure_head_each():
    lists = {str(seed): sampled(seed, 3) for seed in range(5)}
    assert universal(lists).outcome is SUPPORTED
    assert universal({name: lists[name] for name in "0123"}).outcome is INCONCLUSIVE
    assert universal({**lists, "none": sampled(9, 0)}).outcome is REFUTED
    noisy = sampled(2, 1, noise=0.05, n=3, level=0.1)
    unsure = retrieval_heads(noisy)
    assert unsure.low == 0 < unsure.high and universal({**lists, "unsure": noisy}).outcome is INCONCLUSIVE


def test_properties_are_called_by_name():
    lists = {str(seed): sampled(seed, 3) for seed in range(3)}
    assert [each.claim for each in verdicts("sparse", lists)] == ["wu2024.sparse"] * 3
    assert [each.model for each in verdicts("intrinsic", lists)] == ["1 from 0", "2 from 0"]
    assert len(verdicts("universal", lists)) == 1
    with pytest.raises(InputError, match="lists alone can show sparse, intrinsic or universal, got 'causal'"):
        verdicts("causal", lists)
    with pytest.raises(InputError, match="intrinsic needs a base model's list and at least one"):
        verdicts("intrinsic", {"a": lists["0"]})
    with pytest.raises(InputError, match="at least one list is judged, got none"):
        universal({})


def test_retmasks_published_numbers_of_heads_are_counted():
    """They report 33 heads at 0.1 for Llama-3.1, 98 and 113 at 0.05 for Qwen3 and Olmo-3."""
    for name, threshold, count in (("Llama-3.1-8B-Instruct", 0.1, 33), ("Qwen3-8B", 0.05, 98), ("Olmo-3-7B-Think", 0.05, 113)):
        ranked = read_heads(real_data("head_scores") / f"retmask_{name}.json")
        assert sum(score >= threshold for score in ranked.scores) == count
        if threshold == 0.1:
            assert retrieval_heads(ranked).estimate == count


def test_published_base_and_chat_models_share_their_heads():
    folder = real_data("head_scores")
    base, chat = (read_heads(folder / f"wu_{name}.json") for name in ("Qwen1.5-14B", "Qwen1.5-14B-Chat"))
    assert intrinsic("chat", base, chat).outcome is SUPPORTED
