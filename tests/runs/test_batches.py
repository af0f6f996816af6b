"""Which units run together: by tokens, and by nothing but the plan."""

import random
from itertools import pairwise

import pytest

from mechdyn.models.together import BATCH_ROWS, Tokens, samples_together
from mechdyn.runs.batches import batches_of
from mechdyn.traces.unit import Unit

MODEL = {"name": "m", "revision": "r", "dtype": "float32"}


def unit(length, seed, condition=0, decoding=8):
    sample = {"task": "niah", "seed": seed, **({"length": length} if length else {})}
    return Unit(MODEL, sample, {"max_new_tokens": decoding}, {"heads": condition} if condition else {})


def lengths_of(batches):
    return [[sample.first.sample.get("length", 0) for sample in batch.samples] for batch in batches]


@pytest.mark.parametrize("seed", range(10))
def test_a_batch_holds_so_many_tokens_and_little_padding(seed):
    rng = random.Random(seed)
    n_conditions, n_tokens = rng.choice((1, 3, 8)), rng.choice((1000, 8192))
    lengths = [rng.choice((128, 150, 200, 512, 2048)) for _ in range(40)]
    units = [unit(length, number, condition) for number, length in enumerate(lengths) for condition in range(n_conditions)]
    batches = batches_of(units, Tokens(n_tokens))
    found = lengths_of(batches)
    assert sorted(length for batch in found for length in batch) == sorted(lengths)
    for batch in found:
        assert len(batch) == 1 or (sum(batch) <= n_tokens and len(batch) * n_conditions <= BATCH_ROWS and max(batch) <= 1.25 * min(batch))
    for one, following in pairwise(found):
        wide = max([*one, following[0]])
        assert len(one) == samples_together(wide, n_conditions, n_tokens) or following[0] > 1.25 * one[0] or len(one) > n_tokens // wide


def test_the_order_in_which_units_are_asked_for_is_that_of_a_plan_and_what_is_there_does_not_count():
    units = [unit(length, number) for number, length in enumerate((512, 256, 512, 256, 0, 0))]
    assert batches_of(units) == batches_of([*units, *units])
    assert lengths_of(batches_of(units)) == [[0, 0], [256, 256], [512, 512]]
    assert lengths_of(batches_of(units, 1)) == [[0], [0], [256], [256], [512], [512]]
    assert len(batches_of([unit(256, 0, decoding=8), unit(256, 1, decoding=9)])) == 2


def test_samples_of_one_seed_stand_side_by_side():
    units = [unit(512, seed, decoding=8) for seed in (5, 7)] + [
        Unit(MODEL, {"task": "niah", "seed": seed, "length": 512, "needle_seed": 9}, {"max_new_tokens": 8}, {}) for seed in (5, 7)
    ]
    (batch,) = batches_of(units)
    assert [sample.first.sample["seed"] for sample in batch.samples] == [5, 5, 7, 7]


def test_caches_that_are_tried_on_a_sample_are_rows_of_its_batch():
    tried = {"max_new_tokens": 8, "budgets": {"caches": [["uniform", share / 100, True, "query"] for share in range(1, 16)]}}
    units = [Unit(MODEL, {"task": "niah", "seed": seed, "length": 256}, tried, {}) for seed in range(6)]
    assert BATCH_ROWS == 64 and lengths_of(batches_of(units)) == [[256] * 4, [256] * 2], "15 caches and the whole one make 16 rows a sample"
    assert lengths_of(batches_of(units, 6)) == [[256] * 6], "a size that is asked for counts samples"
