"""The same pieces in several orders: balanced orders, prompts that differ in the order of tokens alone, steps by piece."""

from dataclasses import replace
from itertools import pairwise

import pytest

from mechdyn.errors import InputError
from mechdyn.tasks.permuted import KINDS_OF_PIECES, Permuted, copied_pieces, williams_orders
from mechdyn.tasks.task import build_sample
from tests.tokenizers import tokenizer_styles

FAILS = {("unigram", "digits"), ("whole_text", "hex")}
"""Where tokens reach over a piece's edge: Unigram joins hyphen and digit, BPE over the whole text goes by what lies further off."""


@pytest.mark.parametrize("n", [4, 6, 8, 10])
def test_every_piece_is_at_every_place_and_behind_every_other_once(n: int) -> None:
    orders = williams_orders(n)
    assert orders[0] == tuple(range(n)) and len(orders) == n
    assert all(sorted(order) == list(range(n)) for order in orders)
    assert all(sorted(order[place] for order in orders) == list(range(n)) for place in range(n))
    pairs = [pair for order in orders for pair in pairwise(order)]
    assert sorted(pairs) == [(one, other) for one in range(n) for other in range(n) if one != other]


@pytest.mark.parametrize("kind", KINDS_OF_PIECES)
@pytest.mark.parametrize("style", tokenizer_styles())
def test_orders_differ_in_the_order_of_tokens_alone(style: str, kind: str) -> None:
    tokenizer, task = tokenizer_styles()[style], Permuted(kind=kind)
    if (style, kind) in FAILS:
        with pytest.raises(InputError, match=f"under this tokenizer {kind} apart by '-' have other tokens at other places"):
            family_of(task, tokenizer)
        return
    first, *others = family_of(task, tokenizer)
    spans = sorted(map(tuple, first.meta["piece_tokens"]))
    start, end = spans[0][0], spans[-1][1]
    for order, sample in enumerate(others, start=1):
        assert sample.tokens[:start].equal(first.tokens[:start]) and sample.tokens[end:].equal(first.tokens[end:])
        assert sorted(map(tuple, sample.meta["piece_tokens"])) == spans
        for piece, text in enumerate(sample.meta["pieces"]):
            (a, b), (c, d) = first.meta["piece_tokens"][piece], sample.meta["piece_tokens"][piece]
            assert sample.tokens[c:d].equal(first.tokens[a:b])
            assert text in tokenizer.decode(sample.tokens[c:d]).strip()
            assert spans[williams_orders(6)[order].index(piece)] == (c, d)


def family_of(task: Permuted, tokenizer) -> list:
    return [replace(task, order=order).sample(tokenizer, length=500, depth=0.4, seed=3) for order in range(task.pieces)]


def test_a_family_has_every_order_in_every_haystack() -> None:
    tokenizer = tokenizer_styles()["mini"]
    family = Permuted(pieces=4).family(length=400, depth=0.3, needle_seed=7, seeds=(7, 8, 9))
    assert set(family) == {(order, seed) for order in range(4) for seed in (7, 8, 9)}
    samples = {place: build_sample(tokenizer, {"task": "permuted", **spec}) for place, spec in family.items()}
    assert len({sample.key for sample in samples.values()}) == 12
    for order in range(4):
        assert len({samples[order, seed].answer for seed in (7, 8, 9)}) == 1
    for seed in (7, 8, 9):
        contexts = {sample.prompt.replace(sample.answer, "?") for place, sample in samples.items() if place[1] == seed}
        assert len(contexts) == 1


@pytest.mark.parametrize("before", [[], [5, 6]])
def test_steps_are_told_by_the_piece_that_they_copy(before: list[int]) -> None:
    sample = Permuted(kind="numbers", order=2).sample(tokenizer_styles()["byte_bpe"], length=400, seed=1)
    prompt = sample.tokens.tolist()
    first = min(start for start, _ in sample.meta["piece_tokens"])
    last = max(end for _, end in sample.meta["piece_tokens"])
    found = copied_pieces(sample.meta, prompt, [*before, *prompt[first:last], 4])
    expected = []
    for place, piece in enumerate(sample.meta["places"]):
        expected += [None] * bool(place) + [(piece, within) for within in range(3)]
    assert found == [*[None] * len(before), *expected, None]
    assert copied_pieces(sample.meta, prompt, prompt[first : last - 1]) == [None] * (last - first - 1)
