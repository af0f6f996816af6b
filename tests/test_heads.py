"""Heads by name, with and without the shape of a model; sets of them; rankings."""

import inspect
import random
from pathlib import Path

import pytest
import torch

import mechdyn as md
import mechdyn.heads as module
from mechdyn.errors import InputError
from mechdyn.heads import Head, HeadSet, RankedHeads, heads, parse_heads_or_file, rank_heads

TWO = {(3, 6), (4, 1)}
bare_heads = inspect.unwrap(heads)
"""Without the check of types that only tests make, as users call it."""


@pytest.mark.parametrize(
    "written",
    [
        "L3H6 L4H1",
        "L4H1,L3H6",
        " L3H6 ,\n L4H1, ",
        ["L3H6", "L4H1"],
        [Head(3, 6), (4, 1)],
        ((3, 6), [4, 1], "L3H6"),
        (head for head in (Head(3, 6), Head(4, 1))),
        HeadSet(frozenset([Head(3, 6), Head(4, 1)])),
        torch.tensor([[3, 6], [4, 1]]).tolist(),
    ],
)
def test_heads_however_they_are_named(written):
    found = heads(written)
    assert set(found) == TWO and (found.n_layers, found.n_heads) == (None, None)


def test_one_head_is_a_set_of_one():
    assert heads(Head(3, 6)) == heads((3, 6)) == heads("L3H6") == heads([(3, 6)])
    assert len(heads("")) == len(heads([])) == 0


def test_the_public_function_survives_the_module_of_its_name():
    """Importing `mechdyn.heads` binds that name in the package to the module, which can be called as well."""
    assert module.__name__ == "mechdyn.heads"
    assert md.heads("L3H6 L4H1") == heads("L3H6 L4H1")
    assert md.heads("L3H6", 5, 16).mask().sum() == 1


def test_names_print_and_read_back():
    rng = random.Random(4)
    drawn = {Head(rng.randrange(90), rng.randrange(130)) for _ in range(50)}
    assert set(heads(str(heads(drawn)))) == drawn


def test_a_set_without_a_shape_is_fitted_to_a_model():
    fitted = heads("L3H6 L4H1").fit(5, 16)
    assert {tuple(place) for place in fitted.mask().nonzero().tolist()} == TWO
    assert fitted.mask().shape == (5, 16) and fitted == heads("L3H6 L4H1", 5, 16) == HeadSet.of(["L3H6", (4, 1)], 5, 16)
    with pytest.raises(
        InputError, match=r"the heads L3H6 are of no model yet, so there is no mask; call .fit\(model.n_layers, model.n_heads\)"
    ):
        heads("L3H6").mask()
    with pytest.raises(InputError, match="head L3H6 is outside a model of 3 layers x 8 heads"):
        heads("L3H6").fit(3, 8)
    with pytest.raises(InputError, match="the heads are of a model of 5 layers x 16 heads, this one has 6 x 16"):
        fitted.fit(6, 16)


@pytest.mark.parametrize("seed", range(5))
def test_operations_are_those_of_sets(seed):
    rng = random.Random(seed)
    everything = [(layer, head) for layer in range(3) for head in range(4)]
    one, other = (set(rng.sample(everything, rng.randrange(9))) for _ in range(2))
    for shapes in (((), ()), ((3, 4), ()), ((), (3, 4)), ((3, 4), (3, 4))):
        a, b = (HeadSet.of(sorted(each), *shape) for each, shape in zip((one, other), shapes, strict=True))
        for found, wanted in ((a | b, one | other), (a & b, one & other), (a - b, one - other)):
            assert set(found) == wanted
            assert (found.n_layers, found.n_heads) == ((3, 4) if any(shapes) else (None, None))
        assert (a == b) == (one == other) and (a != b) == (one != other)
        assert a == HeadSet.of(sorted(one)) and hash(a) == hash(HeadSet.of(sorted(one)))


def test_sets_of_different_models_do_not_mix():
    small, large = heads("L0H0", 2, 2), heads("L0H0", 4, 4)
    assert small != large
    for operation in (HeadSet.__or__, HeadSet.__and__, HeadSet.__sub__):
        with pytest.raises(InputError, match="sets of heads of one model go together, got models of 2 x 2 and 4 x 4 heads"):
            operation(small, large)


WRONG = {
    "other letters": ("3-6", "a head is written like L4H7 .*, got '3-6'"),
    "a number": (3, "heads are written like 'L3H6 L4H1' or as a list of heads or .* pairs, got '3'"),
    "numbers in a list": ([3, 6, 7], "a head is written like L4H7 or .*, got '3'"),
    "three numbers": ([(1, 2, 3)], r"got '\(1, 2, 3\)'"),
    "half a head": ([(1, 2.5)], r"got '\(1, 2.5\)'"),
    "a negative layer": ([(-1, 2)], "layers and heads count from 0, got layer -1, head 2"),
    "a ranking": (RankedHeads((Head(0, 0),), (1.0,)), r"got a ranking of 1; say how many are meant with .top\(k\)"),
    "a tensor": (torch.zeros(2, 2), "heads are written like"),
    "very long": ("L" * 5000, "got 'LLLL"),
    "a number of five thousand digits": ("L" + "9" * 5000 + "H1", "a head is written like"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_head_is_one_short_line(case):
    written, message = WRONG[case]
    with pytest.raises(InputError, match=message) as caught:
        bare_heads(written)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


def test_half_a_shape_is_none():
    with pytest.raises(InputError, match="give both or none"):
        HeadSet(frozenset(), 3, None)


def test_a_ranking_sorts_and_knows_what_it_ranks():
    drawn = torch.rand(4, 5, generator=torch.Generator().manual_seed(1)).mul(6).round()
    ranked = rank_heads(((Head(*divmod(index, 5)), float(drawn.flatten()[index])) for index in range(20)), 4, 5, "rounded")
    order = sorted(range(20), key=lambda index: (-drawn.flatten()[index], index))
    assert [head.layer * 5 + head.head for head in ranked.heads] == order and ranked.statistic == "rounded"
    for k in (1, 7, 20):
        assert set(ranked.top(k)) == {Head(*divmod(index, 5)) for index in order[:k]}
    with pytest.raises(InputError, match=r"top-k needs 1 <= k <= 20 \(the heads of the list\), got 21"):
        ranked.top(21)


def test_a_ranking_names_each_head_once_with_a_score_each():
    with pytest.raises(InputError, match="a ranking names each head once, got L0H1 twice"):
        RankedHeads((Head(0, 1), Head(0, 1)), (1.0, 0.5))
    with pytest.raises(InputError, match="a ranking has a score a head, got 1 heads and 2 scores"):
        RankedHeads((Head(0, 1),), (1.0, 0.5))
    unshaped = RankedHeads((Head(2, 1), Head(0, 1)), (1.0, 0.5))
    assert unshaped.fit(3, 2).top(1).mask().nonzero().tolist() == [[2, 1]]
    with pytest.raises(InputError, match="head L2H1 is outside a model of 2 layers"):
        unshaped.fit(2, 2)


def test_a_command_line_names_heads_or_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ranked = RankedHeads((Head(2, 1), Head(0, 1)), (1.0, 0.5))
    ranked.save("heads.json")
    assert parse_heads_or_file("heads.json") == ranked
    assert parse_heads_or_file("L2H1,L0H1") == ranked.top(2)
    ranked.save("L9H9")
    assert parse_heads_or_file("L9H9") == ranked, "a file of that name comes first"
    with pytest.raises(InputError, match=r"there is no file 'other\.json', and as heads it cannot be read: a head is written like L4H7"):
        parse_heads_or_file("other.json")
    with pytest.raises(InputError, match="heads are wanted, such as 'L3H6 L4H1', or a file of them, got ' '"):
        parse_heads_or_file(" ")
    with pytest.raises(InputError, match="there is no file 'xxxx") as caught:
        parse_heads_or_file("x" * 5000)
    assert len(str(caught.value)) < 300


def test_a_command_line_may_say_a_files_layout(tmp_path):
    ranked = rank_heads([(Head(0, 0), 0.5), (Head(1, 1), 0.75)], None, None)
    ranked.save(tmp_path / "list.json", format="wu")
    for text, wanted in (("", ranked.heads), (":format=wu", ranked.heads)):
        assert parse_heads_or_file(f"{tmp_path / 'list.json'}{text}").heads == wanted
    for text in (":top=1", ":format=wu:top=1"):
        assert parse_heads_or_file(f"{tmp_path / 'list.json'}{text}") == HeadSet.of([Head(1, 1)])
    with pytest.raises(InputError, match="cannot be read"):
        parse_heads_or_file(f"{tmp_path / 'list.json'}:format=qrhead")


def test_a_file_may_say_its_layout_and_how_many_heads(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ranked = RankedHeads((Head(2, 1), Head(0, 1), Head(1, 0)), (1.0, 0.5, 0.25), 3, 2)
    ranked.save("heads.json", format="wu")
    assert parse_heads_or_file("heads.json:format=wu").top(2) == ranked.top(2)
    assert parse_heads_or_file("heads.json:top=2:format=wu") == ranked.top(2)
    Path("gates.tsv").write_text("0.9\t0.1\n0.2\t0.8\n")
    assert parse_heads_or_file("gates.tsv:top=2:format=duoattention:query_heads=4") == HeadSet.of([(0, 0), (0, 1)], 2, 4)
    with pytest.raises(InputError, match="unknown head-file format 'wux'"):
        parse_heads_or_file("heads.json:format=wux")
    with pytest.raises(InputError, match=r"the heads cannot be read from 'none\.json'"):
        parse_heads_or_file("none.json:top=2:format=wu")
