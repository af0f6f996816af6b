"""Contrasts of token and step against a double loop, and on sets whose rule is known."""

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from mechdyn.errors import InputError
from mechdyn.stats.contrasts import PAIRS, contrasts
from mechdyn.stats.steps import Steps
from mechdyn.tasks.permuted import williams_orders


def family(rule, n_needles=4, n_pieces=6, n_haystacks=2, seed=0, noise=0.0):
    """Sets of 3 of 40 heads by `rule(token, step, needle)`, of every order of every needle in each haystack."""
    rng = np.random.default_rng(seed)
    rows, sets, drawn = [], [], {}
    for needle in range(n_needles):
        tokens = rng.permutation(10)[:n_pieces]
        for order, places in enumerate(williams_orders(n_pieces)):
            for haystack in range(n_haystacks):
                for step, piece in enumerate(places):
                    key = rule(int(tokens[piece]), step, needle)
                    drawn.setdefault(key, rng.permutation(40)[:3])
                    rows.append((tokens[piece], step, needle, n_haystacks * needle + haystack, order, 0))
                    sets.append(np.isin(np.arange(40), drawn[key]) ^ (rng.random(40) < noise))
    return Steps(np.array(sets), *np.array(rows).T)


def by_loop(steps, same_haystack):
    """Mean J by kind of pair, over pairs and then needles."""
    means = {name: [] for name in PAIRS}
    for needle in set(steps.needle):
        found = {name: [] for name in PAIRS}
        for i, j in combinations(np.flatnonzero(steps.needle == needle), 2):
            if (steps.haystack[i] == steps.haystack[j]) != same_haystack or not (steps.sets[i].any() and steps.sets[j].any()):
                continue
            token, step = steps.token[i] == steps.token[j], steps.step[i] == steps.step[j]
            if not (token and step) and steps.order[i] == steps.order[j]:
                continue
            one, other = set(np.flatnonzero(steps.sets[i])), set(np.flatnonzero(steps.sets[j]))
            name = "both" if token and step else "token" if token else "step" if step else "neither"
            found[name].append(len(one & other) / len(one | other))
        for name, values in found.items():
            means[name].append(np.mean(values) if values else math.nan)
    return {name: np.mean(values) for name, values in means.items()}


@pytest.mark.parametrize("same_haystack", [False, True])
def test_means_are_those_of_a_double_loop(same_haystack):
    steps = family(lambda token, step, needle: (token, step % 2, needle % 2), n_needles=3, n_pieces=4, noise=0.03)
    steps.sets[::7] = False
    found, expected = contrasts(steps, same_haystack=same_haystack), by_loop(steps, same_haystack)
    for name in PAIRS[: 3 if same_haystack else 4]:
        assert getattr(found, name).estimate == pytest.approx(expected[name]), name
    assert found.token_less_step.estimate == pytest.approx(expected["token"] - expected["step"])
    assert found.n_silent > 0
    assert found.n_needles == 3


def test_heads_by_token_and_heads_by_step_are_told_apart():
    by_token = contrasts(family(lambda token, step, needle: token, noise=0.01))
    by_step = contrasts(family(lambda token, step, needle: step, noise=0.01))
    half = family(lambda token, step, needle: token, noise=0.01)
    half = contrasts(replace(half, sets=half.sets | family(lambda token, step, needle: step, noise=0.01).sets))
    assert by_token.token_share.low > 0.9
    assert by_token.step_share.high < 0.1
    assert by_token.token_less_step.low > 0
    assert by_step.step_share.low > 0.9
    assert by_step.token_less_step.high < 0
    assert 0.1 < half.token_share.estimate < 0.9
    assert 0.1 < half.step_share.estimate < 0.9


def test_a_fixed_list_follows_neither():
    steps = family(lambda token, step, needle: 0, noise=0.02)
    found = contrasts(steps)
    assert found.token_less_neither.low < 0 < found.token_less_neither.high
    assert abs(found.step_less_neither.estimate) < 0.03
    assert found.token_share.n == 0 or found.both_less_neither.low > 0
    exact = contrasts(family(lambda token, step, needle: 0))
    assert exact.both.estimate == exact.neither.estimate == 1.0
    assert exact.token_share.n == exact.step_share.n == 0


def test_one_haystack_has_no_ceiling():
    steps = family(lambda token, step, needle: token, n_haystacks=1)
    inside, across = contrasts(steps, same_haystack=True), contrasts(steps)
    assert inside.token.estimate == 1.0
    assert inside.both.n == inside.token_share.n == 0
    assert across.n_needles == 0
    assert math.isnan(across.token.estimate)


def test_only_same_tokens_of_pieces_are_compared():
    steps = family(lambda token, step, needle: token, n_pieces=4)
    moved = {"sets": ~steps.sets, "token": steps.token + 100, "step": steps.step + 50, "within": np.ones(len(steps), dtype=int)}
    second = replace(steps, **moved)
    joined = Steps(*[np.concatenate([getattr(one, name) for one in (steps, second)]) for name in vars(steps)])
    assert contrasts(joined).n_pairs == {name: 2 * count for name, count in contrasts(steps).n_pairs.items()}


def test_no_step_is_refused():
    steps = family(lambda token, step, needle: 0)
    with pytest.raises(InputError, match="at least one step"):
        contrasts(steps.at(np.zeros(len(steps), dtype=bool)))
