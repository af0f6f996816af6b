"""Lists by name, lists against each other, and the published ones whose agreement is known."""

import json
import math

import pytest

from mechdyn.errors import InputError
from mechdyn.heads import Head, RankedHeads, read_heads
from mechdyn.stats.head_lists import overlap, rank_correlation
from mechdyn.studies.head_lists import compare_lists, named_lists, of_one_shape, path_and_format
from tests.real_data import real_data
from tests.stats.test_head_lists import drawn


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("a.json", "b.json", "c=d.json")):
        drawn(seed, 4, 6).save(name)
    matrix = [[0.5, 0.25]]
    text = json.dumps({"model": "m", "n_layers": 1, "n_heads": 2, "argmax_scores": matrix, "copy_scores": [[0.25, 0.5]]})
    (tmp_path / "p.json").write_text(text)
    return tmp_path


def test_lists_are_named_by_their_file_or_as_asked(files):
    lists = named_lists(["a.json", "other=b.json", "c=d.json", "p.json", "p.json:format=profile-copy", "x=p.json:format=profile-copy"])
    assert list(lists) == ["a", "other", "c=d", "p", "p (profile-copy)", "x"]
    assert lists["other"] == drawn(1, 4, 6) and lists["c=d"] == drawn(2, 4, 6)
    assert lists["p"].heads[0] == Head(0, 0) and lists["x"].heads[0] == Head(0, 1)
    assert path_and_format("x=p.json:format=profile-copy") == ("p.json", "profile-copy")
    with pytest.raises(InputError, match=r"two lists are called 'a'; name them: NAME=a\.json"):
        named_lists(["a.json", "a.json"])
    with pytest.raises(InputError, match=r"two lists are called 'x'; name them: NAME=b\.json"):
        named_lists(["x=a.json", "x=b.json"])
    with pytest.raises(InputError, match=r"the heads cannot be read from 'no\.json': No such file"):
        named_lists(["no.json"])


def test_a_list_without_a_shape_takes_that_of_the_others():
    shaped, bare = drawn(0, 4, 6), RankedHeads((Head(3, 5), Head(0, 0)), (math.nan,) * 2)
    fitted = of_one_shape({"bare": bare, "shaped": shaped})
    assert (fitted["bare"].n_layers, fitted["bare"].n_heads) == (4, 6) and fitted["shaped"] == shaped
    assert of_one_shape({"bare": bare}, (9, 9))["bare"].n_heads == 9
    for lists, shape, message in (
        ({"bare": bare}, None, "none of these lists says how many layers and heads the model has; give it: --shape 32x32"),
        ({"bare": bare}, (2, 9), "'bare' cannot be compared: head L3H5 is outside a model of 2 layers x 9 heads"),
        (
            {"a": shaped, "b": drawn(0, 4, 5)},
            None,
            "'b' cannot be compared: the heads are of a model of 4 layers x 5 heads",
        ),
        ({"a": shaped, "kv": drawn(0, 4, 2)}, None, "if its 2 are key-value heads, read it as FILE:format=duoattention:query_heads=6"),
    ):
        with pytest.raises(InputError, match=message):
            of_one_shape(lists, shape)


def test_a_comparison_holds_every_pair():
    lists = {str(seed): drawn(seed, 4, 6) for seed in range(4)}
    found = compare_lists(lists, 5)
    assert [(pair.first, pair.second) for pair in found.pairs] == [("0", "1"), ("0", "2"), ("0", "3"), ("1", "2"), ("1", "3"), ("2", "3")]
    for pair in found.pairs:
        one, other = lists[pair.first], lists[pair.second]
        assert pair.overlap == overlap(one, other, 5) and pair.correlation == rank_correlation(one, other)
        assert (
            found.jaccards[int(pair.first), int(pair.second)] == found.jaccards[int(pair.second), int(pair.first)] == pair.overlap.jaccard
        )
    assert compare_lists({"0": lists["0"], "1": lists["1"]}).clusters is None
    with pytest.raises(InputError, match="at least two lists are compared, got 1"):
        compare_lists({"0": lists["0"]})


LLAMA_31, COMPRESSKV = "retmask_Llama-3.1-8B-Instruct.json", "compresskv_mean_wu_Llama-3.1-8B-Instruct.json"
META, HEADKV = "decore_Meta-Llama-3-8B-Instruct.json", "headkv_mean_Meta-Llama-3-8B-Instruct_retrieval_"
KNOWN = {
    "one definition, two groups": (META, f"{HEADKV}heads.json", 20, 0.82, 0.93),
    "base and instruct": ("decore_mean_Meta-Llama-3-8B.json", META, 20, 0.82, 0.92),
    "one definition, two groups, Llama-3.1": (LLAMA_31, COMPRESSKV, 20, 0.74, 0.84),
    "Wu and R2": (f"{HEADKV}heads.json", f"{HEADKV}reasoning_heads.json", 20, 0.25, 0.76),
    "Wu and argmax": (LLAMA_31, "profile_llama31_8b_instruct_seed42.json", 20, 0.11, 0.51),
    "Wu and QRHead": (f"{HEADKV}heads.json", "iahd_llama3_instruct_qrhead_hq_state_4096.json", 20, 0.0, 0.38),
}


@pytest.mark.parametrize("case", KNOWN)
def test_published_lists_agree_as_far_as_is_known(case):
    first, second, k, jaccard, rho = KNOWN[case]
    one, other = (read_heads(real_data("head_scores") / name) for name in (first, second))
    assert overlap(one, other, k).jaccard == pytest.approx(jaccard, abs=0.0051)
    assert rank_correlation(one, other).rho == pytest.approx(rho, abs=0.0051)


def test_qrheads_published_sets_share_few_heads():
    folder = real_data("head_scores")
    wu = read_heads(folder / "retmask_Llama-3.1-8B-Instruct.json")
    memory, questions = (read_heads(folder / f"qrhead_Llama-3.1-8B-Instruct_{name}.yaml").fit(32, 32) for name in ("LME", "qr_head_NQ"))
    assert overlap(wu, memory, 16).shared == 1 and overlap(memory, questions, 16).shared == 3
