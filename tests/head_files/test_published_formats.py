"""The layouts that others publish: each reads what it should, writes what it read, and names the entry that is wrong."""

import json
import logging
import math
import random
import statistics
import time
from dataclasses import replace

import numpy as np
import pytest
import yaml

from mechdyn.errors import InputError
from mechdyn.head_files.duoattention import group_maximum, spread_over_groups
from mechdyn.heads import HEAD_FORMATS, Head, RankedHeads, Spread, format_of, heads, lost, rank_heads, read_heads
from tests.real_data import real_data

RNG = random.Random(20)
MATRIX = [[0.5, 0.0, 0.25], [1.0, 0.125, 0.0]]
BEST_FIRST = [Head(1, 0), Head(0, 0), Head(0, 2), Head(1, 1), Head(0, 1), Head(1, 2)]
KEYS = [f"{head.layer}-{head.head}" for head in BEST_FIRST]

FILES = {
    "wu": json.dumps({"0-0": [0, 1], "0-1": [0, 0], "0-2": [0.25, 0.25], "1-0": [1, 1], "1-1": [0.25, 0], "1-2": [0, 0]}),
    "locos": json.dumps(
        {
            "meta": {"model": "m", "k": 3},
            "trial_ids": ["a", "b"],
            "scores": {"0-0": [0, 1], "0-1": [0, 0], "0-2": [0.25, 0.25], "1-0": [1, 1], "1-1": [0.25, 0], "1-2": [0, 0]},
        }
    ),
    "means": json.dumps(
        {
            "derived_from": "x",
            "statistic": "a mean",
            "scores": {f"{layer}-{head}": [MATRIX[layer][head], 0.1, 7] for layer in range(2) for head in range(3)},
        }
    ),
    "profile": json.dumps(
        {"model": "m", "hf_id": "o/m", "n_samples": 9, "n_layers": 2, "n_heads": 3, "argmax_scores": MATRIX, "copy_scores": MATRIX[::-1]}
    ),
    "profile-copy": json.dumps({"model": "m", "n_layers": 2, "n_heads": 3, "copy_scores": MATRIX}),
    "atlas": json.dumps({"model_id": "o/m", "n_layers": 2, "n_heads": 3, "n_prompts_total": 5, "event_rate": MATRIX, "avg_mass": MATRIX}),
    "atlas-mass": json.dumps({"model_id": "o/m", "n_layers": 2, "n_heads": 3, "avg_mass": MATRIX}),
    "qrhead": f'# Default configuration\n\nattn_head_set: "{",".join(KEYS)}" # top6\nmodel_base_class: "m"\nmodel_name_or_path: "o/m"',
    "qrhead-scores": json.dumps([[key, score] for key, score in zip(KEYS, (1.0, 0.5, 0.25, 0.125, 0.0, 0.0), strict=True)]),
    "duoattention": "5.0e-01\t-3.5e-05\t2.5e-01\n1.000000000000000000e+00\t0.125\t-1e-9\n",
    "compresskv": json.dumps({"0": [0, 2, 1], "1": [0, 1, 2]}),
    "focus": json.dumps([list(head) for head in BEST_FIRST]),
    "head-rankings": json.dumps(
        {
            "method": "qrhead",
            "model_name": "o/m",
            "samples_processed": 106,
            "head_rankings": [
                {"head": str(head), "score": MATRIX[head.layer][head.head], "rank": rank} for rank, head in enumerate(BEST_FIRST, start=1)
            ],
        }
    ),
}
WITHOUT_SCORES = {"qrhead", "compresskv", "focus"}
MODELS = {"locos": "m", "profile": "o/m", "profile-copy": "m", "atlas": "o/m", "atlas-mass": "o/m", "qrhead": "o/m", "head-rankings": "o/m"}
COUNTS = {"wu": 2, "locos": 2, "means": 7, "profile": 9, "atlas": 5, "head-rankings": 106}


def saved(tmp_path, text, name="heads.json"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def drawn(seed, n_layers=4, n_heads=6, **about):
    rng = random.Random(seed)
    cells = ((Head(layer, head), rng.choice([rng.random(), rng.random(), 0.0])) for layer in range(n_layers) for head in range(n_heads))
    return replace(rank_heads(cells, n_layers, n_heads), **about)


def same(ranked, other):
    """Equal, NaN being equal to NaN."""
    return lost(ranked, other) == () == lost(other, ranked) and list(map(repr, ranked.scores)) == list(map(repr, other.scores))


def test_every_format_has_an_example_here():
    assert {*FILES, "mechdyn"} == set(HEAD_FORMATS.names()) - {"csv"}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_recognised_and_read(tmp_path, name):
    path = saved(tmp_path, FILES[name])
    assert format_of(path) == name
    read = read_heads(path)
    interleaved = [Head(0, 0), Head(1, 0), Head(0, 2), Head(1, 1), Head(0, 1), Head(1, 2)]
    assert list(read.heads) == (interleaved if name == "compresskv" else BEST_FIRST)
    if name in WITHOUT_SCORES:
        assert all(map(math.isnan, read.scores))
    else:
        assert read.scores == (1.0, 0.5, 0.25, 0.125, 0.0, 0.0)
    assert (read.n_layers, read.n_heads) == ((None, None) if name == "qrhead" else (2, 3))
    assert (read.model, read.n) == (MODELS.get(name, ""), COUNTS.get(name)) and read.statistic


@pytest.mark.parametrize("name", FILES)
def test_read_write_read_loses_nothing(tmp_path, name, caplog):
    read = read_heads(saved(tmp_path, FILES[name]))
    again = tmp_path / "again.json"
    read.save(again, format=name)
    assert format_of(again) == name and same(read_heads(again), read)
    assert not caplog.records


@pytest.mark.parametrize("name", sorted({*FILES} - WITHOUT_SCORES))
@pytest.mark.parametrize("seed", [1, 2])
def test_scores_and_order_go_through_every_layout_that_has_them(tmp_path, name, seed):
    ranked = drawn(seed)
    ranked.save(tmp_path / "x", format=name)
    read = read_heads(tmp_path / "x")
    assert (read.heads, read.scores, read.n_layers, read.n_heads) == (ranked.heads, ranked.scores, 4, 6)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("qrhead", "scores, the model's shape, statistic, n, spread over samples"),
        ("focus", "scores, statistic, model, n, spread over samples"),
        ("compresskv", "scores, the order, statistic, model, n, spread over samples"),
        ("means", "spread over samples"),
        ("wu", "statistic, model"),
        ("locos", ""),
        ("mechdyn", ""),
        ("profile", "statistic, spread over samples"),
    ],
)
def test_what_a_layout_cannot_hold_is_said(tmp_path, caplog, name, said):
    scores = {Head(layer, head): [RNG.random() for _ in range(5)] for layer in range(3) for head in range(4)}
    ranked = rank_heads(((head, math.fsum(row) / 5) for head, row in scores.items()), 3, 4, "a score")
    ranked = replace(ranked, model="o/m", n=5, spread=tuple(Spread.of(scores[head]) for head in ranked.heads))
    with caplog.at_level(logging.WARNING):
        ranked.save(tmp_path / "x", format=name)
    assert [record.getMessage() for record in caplog.records] == ([f"the format {name} does not keep: {said}"] if said else [])


def test_the_spread_of_samples_is_that_of_statistics_and_is_kept_by_the_own_format(tmp_path):
    rows = {f"{layer}-{head}": [RNG.random() for _ in range(RNG.randint(1, 9))] for layer in range(3) for head in range(2)}
    read = read_heads(saved(tmp_path, json.dumps(rows)))
    for head, spread in zip(read.heads, read.spread, strict=True):
        row = rows[f"{head.layer}-{head.head}"]
        assert (spread.n, spread.values) == (len(row), tuple(row))
        assert spread.sd == pytest.approx(statistics.stdev(row)) if len(row) > 1 else math.isnan(spread.sd)
    read.save(tmp_path / "own.json")
    assert read_heads(tmp_path / "own.json") == read
    read.save(tmp_path / "means.json", format="means")
    means = read_heads(tmp_path / "means.json")
    assert [(each.n, repr(each.sd)) for each in means.spread] == [(each.n, repr(each.sd)) for each in read.spread]
    means.save(tmp_path / "own.json")
    assert read_heads(tmp_path / "own.json") == means


def test_first_keeps_heads_scores_and_spread_together(tmp_path):
    read = read_heads(saved(tmp_path, FILES["wu"]))
    first = read.first(2)
    assert (first.heads, first.scores, first.n) == (tuple(BEST_FIRST[:2]), (1.0, 0.5), 2)
    assert first.spread == read.spread[:2]
    with pytest.raises(InputError, match="top-k needs 1 <= k <= 6"):
        read.first(7)


def test_the_second_statistic_of_a_file_is_asked_for_by_name(tmp_path):
    path = saved(tmp_path, FILES["profile"])
    assert read_heads(path, format="profile-copy").heads[0] == Head(0, 0)
    assert read_heads(path).heads[0] == Head(1, 0)
    assert read_heads(saved(tmp_path, FILES["atlas"]), format="atlas-mass").statistic.startswith("mean attention mass")


def test_qrheads_file_is_yaml_that_their_code_reads(tmp_path):
    replace(drawn(0).first(3), model="org/name").save(tmp_path / "x.yaml", format="qrhead")
    found = yaml.safe_load((tmp_path / "x.yaml").read_text())
    assert found["attn_head_set"].split(",") == [f"{head.layer}-{head.head}" for head in drawn(0).heads[:3]]
    assert (found["model_base_class"], found["model_name_or_path"]) == ("name", "org/name")


def test_gates_go_to_the_query_heads_of_their_group_and_back_by_maximum(tmp_path):
    gates = np.random.default_rng(7).random((5, 2))
    np.savetxt(tmp_path / "x.tsv", gates, delimiter="\t")
    narrow = read_heads(tmp_path / "x.tsv")
    assert (narrow.n_layers, narrow.n_heads) == (5, 2)
    wide = read_heads(tmp_path / "x.tsv", format="duoattention:query_heads=6")
    assert (wide.n_layers, wide.n_heads) == (5, 6)
    assert {head: score for head, score in zip(wide.heads, wide.scores, strict=True)} == {
        Head(layer, head): gates[layer, head // 3] for layer in range(5) for head in range(6)
    }
    assert group_maximum(wide, 2) == narrow and spread_over_groups(narrow, 6) == wide
    ranked = drawn(3, 5, 6)
    ranked.save(tmp_path / "y.tsv", format="duoattention:kv_heads=2")
    scores = np.zeros((5, 6))
    for head, score in zip(ranked.heads, ranked.scores, strict=True):
        scores[head] = score
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "y.tsv", delimiter="\t"), scores.reshape(5, 2, 3).max(axis=2))


def test_config_json_lies_beside_a_table_of_gates(tmp_path):
    ranked = replace(drawn(4, 3, 4), model="org/name")
    path = tmp_path / "full_attention_heads.tsv"
    ranked.save(path, format="duoattention:sink_size=64")
    config = json.loads((tmp_path / "config.json").read_text())
    assert config == {"model_name": "org/name", "sink_size": 64, "recent_size": 256}
    assert read_heads(path).model == "org/name"
    grouped = spread_over_groups(drawn(5, 3, 2), 4)
    grouped.save(tmp_path / "grouped.tsv", format="duoattention:kv_heads=2")
    assert json.loads((tmp_path / "grouped.config.json").read_text())["num_attention_heads"] == 4
    assert read_heads(tmp_path / "grouped.tsv").scores == grouped.scores, "the file beside says how many query heads there are"
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(InputError, match=r"is there and not DuoAttention's, so it is not written over"):
        ranked.save(path, format="duoattention")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config.json beside it: it is not JSON"):
        read_heads(path)


def changed(name, **fields):
    return json.dumps({**json.loads(FILES[name]), **fields})


BAD = {
    "means: underscore": (changed("means", scores={"3_4": [0, 0, 1]}), "such as '3-4', got '3_4'"),
    "means: NaN": (changed("means", scores={"3-4": [math.nan, 0, 1]}), "the mean of the head '3-4' must be a number, got 'nan'"),
    "means: negative sd": (changed("means", scores={"3-4": [0, -1, 1]}), "the sd of the head '3-4' must be a number from 0"),
    "means: n": (changed("means", scores={"3-4": [0, 1, 0]}), "the n of the head '3-4' must be a whole number from 1"),
    "means: two numbers": (changed("means", scores={"3-4": [0, 1]}), r"the head '3-4' needs \[mean, sd, n\], got '\[0, 1\]'"),
    "means: none": (changed("means", scores={}), "'scores' must be an object with an entry a head"),
    "means: doubled": ('{"scores": {"1-1": [0, 0, 1], "1-1": [0, 0, 1]}}', "the key '1-1' stands there twice"),
    "locos: text": (changed("locos", scores={"3-4": ["a"]}), "the scores of the head '3-4' must be numbers, got 'a'"),
    "locos: negative": (changed("locos", scores={"-3-4": [1]}), "got '-3-4'"),
    "profile: other shape": (changed("profile", n_heads=4), "'argmax_scores' must have a score for each of 4 heads, layer 0 has 3"),
    "profile: more layers": (changed("profile", n_layers=3), "'argmax_scores' must be a list for each of 3 layers, got '2'"),
    "profile: no shape": (changed("profile", n_layers=None), "'n_layers' must be a whole number of at least 1, got 'None'"),
    "profile: NaN": (
        changed("profile", argmax_scores=[MATRIX[0], [1, math.nan, 0]]),
        "the score of L1H1 in 'argmax_scores'",
    ),
    "profile: n": (changed("profile", n_samples="x"), "'n_samples' must be a whole number of at least 1, got 'x'"),
    "atlas: null": (
        changed("atlas", event_rate=[[None, 0, 0], MATRIX[1]]),
        "the score of L0H0 in 'event_rate' .*, got 'None'",
    ),
    "qrhead: underscore": ('attn_head_set: "10-3,10_24"', "got '10_24'"),
    "qrhead: negative": ('attn_head_set: "-1-3"', "got '-1-3'"),
    "qrhead: doubled": ('attn_head_set: "1-3,2-1,1-3"', "a ranking names each head once, got L1H3 twice"),
    "qrhead: all": ('attn_head_set: "full_heads"', "all heads of the model, which is no list"),
    "qrhead: empty": ("attn_head_set:", "attn_head_set must be text such as '13-18,13-21', got 'None'"),
    "qrhead: cut": ('attn_head_set: "1-3', "it is not YAML"),
    "qrhead-scores: NaN": ('[["1-3", NaN]]', "the score of the head '1-3' must be a number, got 'nan'"),
    "qrhead-scores: underscore": ('[["1_3", 1]]', "got '1_3'"),
    "qrhead-scores: half": ('[["1-3"]]', r"an entry is \[key, score\]"),
    "qrhead-scores: doubled": ('[["1-3", 1], ["1-3", 0]]', "each head once, got L1H3 twice"),
    "duo: NaN": ("0.5\t0.5\n0.5\tnan\n", "the gate of layer 1, key-value head 1, must be a number, got 'nan'"),
    "duo: text": ("0.5\t0.5\n0.5\tx\n", "layer 1, key-value head 1, must be a number, got 'x'"),
    "duo: uneven": ("0.5\t0.5\n0.5\n", r"as many gates as layer 0 \(2\), layer 1 has 1"),
    "compresskv: negative layer": ('{"-1": [0]}', "a layer is a whole number from 0, such as '3', got '-1'"),
    "compresskv: negative head": ('{"0": [-1]}', "the heads of layer 0 must be whole numbers from 0, got '-1'"),
    "compresskv: no layer": ('{"0": [1], "x": [2]}', "a layer is a whole number from 0, such as '3', got 'x'"),
    "compresskv: null": ('{"0": [1], "1": null}', "layer 1 needs a list of at least one head"),
    "compresskv: fraction": ('{"0": [1.5]}', "the heads of layer 0 must be whole numbers from 0, got '1.5'"),
    "compresskv: doubled": ('{"0": [1, 1]}', "each head once, got L0H1 twice"),
    "compresskv: layer twice": ('{"0": [1], "0": [2]}', "the key '0' stands there twice"),
    "compresskv: empty": ('{"0": []}', "layer 0 needs a list of at least one head"),
    "focus: negative": ("[[0, 1], [1, -2]]", r"entry 1 must be \[layer, head\], two whole numbers from 0, got '\[1, -2\]'"),
    "focus: three": ("[[0, 1, 2]]", r"entry 0 must be \[layer, head\]"),
    "focus: doubled": ("[[0, 1], [0, 1]]", "each head once, got L0H1 twice"),
    "rankings: name": ('{"head_rankings": [{"head": "9-1", "score": 1}]}', "a head is written like L4H7 .*, got '9-1'"),
    "rankings: NaN": ('{"head_rankings": [{"head": "L9H1", "score": NaN}]}', "the score of L9H1 must be a number, got 'nan'"),
    "rankings: no head": ('{"head_rankings": [{"score": 1}]}', "entry 0 must have a 'head'"),
    "rankings: none": ('{"head_rankings": []}', "'head_rankings' must be a list with an entry a head"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_malformed_file_is_one_line_that_names_the_entry(tmp_path, case):
    text, message = BAD[case]
    with pytest.raises(InputError, match=message) as caught:
        read_heads(saved(tmp_path, text, "x"))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400 and "the heads in " in str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_another_models_shape_is_refused(tmp_path, name):
    read = read_heads(saved(tmp_path, FILES[name]))
    with pytest.raises(InputError, match=r"the heads are of a model of 2 layers x 3 heads|head L1H\d is outside a model of 1 layers"):
        read.fit(1, 3)


def test_what_a_layout_of_matrices_cannot_hold_is_refused(tmp_path):
    for name in ("profile", "atlas", "duoattention"):
        with pytest.raises(InputError, match=f"the format {name} holds every head of a model, this ranking lacks 20, L"):
            drawn(0).first(4).save(tmp_path / "x", format=name)
        with pytest.raises(InputError, match=f"the format {name} holds every head of a model, and this ranking says none"):
            RankedHeads((Head(0, 0),), (1.0,)).save(tmp_path / "x", format=name)
    for name in ("means", "locos", "qrhead-scores", "head-rankings", "profile"):
        with pytest.raises(InputError, match=f"the format {name} holds a number for each head, L0H0 has none"):
            RankedHeads((Head(0, 0),), (math.nan,), 1, 1).save(tmp_path / "x", format=name)
    for wrong, message in {
        "duoattention:query_heads=5": "query heads are a multiple of the key-value heads, got 5 query heads and 3",
        "duoattention:heads=5": "head-file format 'duoattention' does not take the options",
        "duo": "unknown head-file format 'duo'",
    }.items():
        with pytest.raises(InputError, match=message):
            read_heads(saved(tmp_path, FILES["duoattention"]), format=wrong)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["heads.json"]


def test_a_list_of_1600_heads_and_500_samples_is_read_within_a_second(tmp_path):
    rng = np.random.default_rng(0)
    rows = {f"{layer}-{head}": (rng.random(500) * (rng.random(500) < 0.2)).round(4).tolist() for layer in range(40) for head in range(40)}
    path = saved(tmp_path, json.dumps(rows))
    seconds = []
    for _ in range(3):
        before = time.process_time()
        read = read_heads(path)
        seconds.append(time.process_time() - before)
    assert (len(read.heads), read.n) == (1600, 500) and min(seconds) < 1.0


LISTED = {
    "wu_mean_llama-2-7b-80k.json": ("means", 1024, 586, "L16H19 L11H15 L8H26 L6H9 L7H12"),
    "qrhead_Llama-3.1-8B-Instruct_LME.yaml": ("qrhead", 16, None, "L13H18 L13H21 L8H11 L14H13 L17H29"),
    "focus_contextual_Qwen2.5-7B-Instruct.json": ("focus", 784, None, "L19H15 L19H22 L22H7 L21H5 L19H17"),
    "compresskv_srh_rank_Llama-3.1-8B-Instruct.json": ("compresskv", 1024, None, "L0H11 L1H23 L2H21"),
    "atlas_Qwen2.5-1.5B-Instruct_head_scores.json": ("atlas", 336, 120, ""),
    "profile_falcon3_7b_seed42.json": ("profile", 336, 200, ""),
    "duoattention_Llama-3.1-8B-Instruct.tsv": ("duoattention", 256, None, ""),
    "iahd_llama3_base_qrhead_hq_state_4096.json": ("head-rankings", 1024, 106, "L9H1 L13H11"),
}


@pytest.mark.parametrize("name", LISTED)
def test_published_files_are_read_and_written_back(tmp_path, name):
    path = real_data("head_scores") / name
    layout, size, n, first = LISTED[name]
    assert format_of(path) == layout
    read = read_heads(path)
    assert (len(read.heads), read.n) == (size, n)
    assert not first or read.top(len(first.split())) == heads(first)
    read.save(tmp_path / name, format=layout)
    assert same(read_heads(tmp_path / name), read)


def test_the_published_gates_hardly_choose():
    """Of 256 gates of each model with grouped queries 57 to 110 are exactly 1; no clipped gate is negative."""
    for name in ("Llama-3-8B-Instruct-Gradient-1048k", "Llama-3.1-8B-Instruct"):
        read = read_heads(real_data("head_scores") / f"duoattention_{name}.tsv")
        assert 57 <= sum(score == 1 for score in read.scores) <= 110 and min(read.scores) >= 0
    config = read_heads(real_data("head_scores") / "duoattention_Llama-2-7B-32K-Instruct.tsv")
    assert config.model == "models/Llama-2-7B-32K-Instruct"


def test_llama_2_7b_80ks_five_best_heads_have_the_published_means():
    read = read_heads(real_data("head_scores") / "wu_mean_llama-2-7b-80k.json")
    assert read.scores[:5] == pytest.approx((0.943, 0.920, 0.800, 0.618, 0.614), abs=5e-4)
