"""Random lists never have an excluded head, and the leak of published code is what enumeration says."""

import random
from itertools import combinations

import pytest

from mechdyn.errors import InputError
from mechdyn.heads import HeadSet
from mechdyn.studies.random_lists import layer_matched_lists, leak, random_lists


def some_heads(n, n_layers, n_heads, seed):
    every = [(layer, head) for layer in range(n_layers) for head in range(n_heads)]
    return HeadSet.of(random.Random(seed).sample(every, n), n_layers, n_heads)


@pytest.mark.parametrize("seed", range(5))
def test_no_draw_has_an_excluded_head(seed):
    listed = some_heads(7, 6, 8, seed)
    excluded = listed | some_heads(5, 6, 8, seed + 100)
    draws = random_lists(len(listed), excluded, 50, seed)
    assert len(draws) == 50 and len(set(draws)) > 40
    assert all(len(heads) == 7 and not heads & excluded for heads in draws)
    assert set().union(*draws) == set(HeadSet.from_mask(~excluded.mask())), "every other head comes up"
    assert draws == random_lists(len(listed), excluded, 50, seed) != random_lists(len(listed), excluded, 50, seed + 1)
    assert draws[:10] == random_lists(len(listed), excluded, 10, seed), "more draws leave the first as they were"


@pytest.mark.parametrize("seed", range(5))
def test_layer_matched_lists_have_as_many_in_each_layer(seed):
    listed = some_heads(9, 4, 8, seed)
    for heads in layer_matched_lists(listed, listed, 20, seed):
        assert not heads & listed
        assert heads.mask().sum(dim=1).tolist() == [min(int(n), 8 - int(n)) for n in listed.mask().sum(dim=1)]


def test_a_full_layer_leaves_nothing_to_draw():
    listed = HeadSet.of([(0, 0), (0, 1), (0, 2), (1, 0)], 2, 3)
    assert all(heads.mask().sum(dim=1).tolist() == [0, 1] for heads in layer_matched_lists(listed, listed, 5))
    with pytest.raises(InputError, match="4 random heads are wanted beside 4 excluded ones, and the model has 6 in all"):
        random_lists(4, listed)


@pytest.mark.parametrize(("k", "n", "total"), [(2, 2, 6), (3, 2, 7), (4, 4, 8), (1, 5, 6)])
def test_the_leak_is_that_of_all_lists(k, n, total):
    shared = [len(set(drawn) & set(range(n))) for drawn in combinations(range(total), k)]
    found = leak(k, n, total)
    assert found.expected == pytest.approx(sum(shared) / len(shared))
    assert found.any == pytest.approx(sum(each > 0 for each in shared) / len(shared))
