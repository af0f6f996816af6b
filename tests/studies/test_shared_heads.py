"""Heads of several tasks: planted lists are recovered, and samples of one task dealt to two names agree as noise does."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mechdyn.decoding.trace import trace
from mechdyn.errors import InputError
from mechdyn.models.load import load_model
from mechdyn.stats.overlap import static_ranking
from mechdyn.studies.shared_heads import shared_heads
from mechdyn.tasks.niah import niah
from tests.bundled import mini_tokenizer

SHAPE = (4, 10)


@pytest.fixture(scope="module")
def traced():
    model = load_model("mini")
    return trace(model, niah(model, length=160, depth=0.5, seed=0), max_new_tokens=30)


def made_up(traced, seed, heads, n=12, rate=0.6, noise=0.05):
    """Right samples at whose steps the given heads score at the rate, the others at the noise."""
    rng = np.random.default_rng(seed)
    rates = np.full(SHAPE[0] * SHAPE[1], noise)
    rates[list(heads)] = rate
    found = []
    for number in range(n):
        scores = torch.tensor(rng.random((traced.n_steps, len(rates))) < rates).float().reshape(-1, *SHAPE)
        found.append(replace(traced, retrieval_scores=scores, sample=f"{seed}-{number}"))
    return found


def test_the_fixture_is_answered_rightly(traced):
    assert traced.text == traced.answer and mini_tokenizer()


def test_planted_lists_and_their_overlap(traced):
    tasks = {"one": made_up(traced, 1, range(8)), "other": made_up(traced, 2, range(4, 12)), "same": made_up(traced, 3, range(8))}
    found = shared_heads(tasks, k=8, n_deals=99)
    assert found.n_right == {"one": 12, "other": 12, "same": 12}
    lists = found.comparison.lists
    assert {head.head + 10 * head.layer for head in lists["one"].heads[:8]} == set(range(8))
    assert lists["one"].heads[:8] == static_ranking(tasks["one"]).heads[:8]
    pairs = {(each.first, each.second): each for each in found.pairs}
    differing, alike = pairs["one", "other"], pairs["one", "same"]
    assert differing.between == pytest.approx(4 / 12) and differing.within == 1.0
    assert differing.p == 0.01 and differing.high < differing.difference == pytest.approx(8 / 12)
    assert alike.between == alike.within == 1.0 and alike.difference == 0.0 and alike.p == 1.0
    assert found.comparison.jaccards[0].tolist() == pytest.approx([1.0, 4 / 12, 1.0])
    assert found.comparison.pairs[0].overlap.chance < 0.2


def test_one_task_under_two_names_is_not_told_apart(traced):
    p = []
    for seed in range(60):
        samples = made_up(traced, seed, range(10), n=14, rate=0.12, noise=0.08)
        (each,) = shared_heads({"a": samples[:8], "b": samples[8:]}, k=8, n_deals=39, seed=seed).pairs
        p.append(each.p)
        assert each.difference == pytest.approx(each.within - each.between)
    # Exact at any level: 60 draws of a probability of 0.05 are above 8 in fewer than 1 of 1,000 cases.
    assert np.sum(np.array(p) <= 0.05) <= 8
    assert 0.3 < np.mean(p) < 0.7


def test_agreement_is_that_of_lists_made_by_hand(traced):
    """With two samples a half and all halves alike, lists are the heads that score."""
    tasks = {"a": made_up(traced, 1, (0, 1, 2), n=4, rate=1.0, noise=0.0), "b": made_up(traced, 2, (2, 3), n=5, rate=1.0, noise=0.0)}
    (each,) = shared_heads(tasks, k=5, n_deals=9).pairs
    assert (each.within, each.between) == (1.0, pytest.approx(1 / 4))


def test_heads_that_never_score_are_in_no_list(traced):
    found = shared_heads({"a": made_up(traced, 1, (3, 4), noise=0.0), "b": made_up(traced, 2, (3, 9), noise=0.0)}, k=20, n_deals=20)
    assert [len(each.heads) for each in found.comparison.lists.values()] == [2, 2]
    assert found.pairs[0].between == pytest.approx(1 / 3)


def test_what_cannot_be_compared(traced):
    right = made_up(traced, 1, range(3))
    with pytest.raises(InputError, match="at least two tasks are compared, got 1"):
        shared_heads({"a": right})
    with pytest.raises(InputError, match=r"b: 3 of 4 samples were answered rightly, 4 are needed; give more samples"):
        shared_heads({"a": right, "b": [*right[:3], replace(right[3], text="nothing")]})
    with pytest.raises(InputError, match="b: no head scores at any step of its right samples; take another score"):
        shared_heads({"a": right, "b": made_up(traced, 2, (), noise=0.0)})
