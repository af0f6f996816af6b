"""Files of heads: what is written is read back, published files give published values, a malformed one is one line that says where."""

import json
import math
import random
import statistics
from dataclasses import replace

import pytest

from mechdyn.errors import InputError
from mechdyn.heads import HEAD_FORMATS, Head, RankedHeads, head_format, rank_heads, read_heads
from tests.real_data import real_data

OWN = {"format": "mechdyn heads", "version": 1, "model": "m", "statistic": "s", "n": 3, "n_layers": 2, "n_heads": 2}
OWN_HEADS = [["L0H1", 0.5], ["L1H0", 0.25]]


def drawn_ranking(seed, n_layers=5, n_heads=7, **about):
    rng = random.Random(seed)
    scores = (
        (Head(layer, head), rng.choice([rng.random(), 0.0, 1e-300 * rng.random()])) for layer in range(n_layers) for head in range(n_heads)
    )
    return replace(rank_heads(scores, n_layers, n_heads), **about)


@pytest.mark.parametrize("seed", range(4))
def test_the_own_format_loses_nothing(tmp_path, seed):
    about = {"statistic": "mean “copy” score\nover steps", "model": 'a "model"', "n": seed or None}
    ranked = drawn_ranking(seed, **about)
    ranked.save(tmp_path / "heads.json")
    assert read_heads(tmp_path / "heads.json") == ranked
    json.loads((tmp_path / "heads.json").read_text())


def test_the_own_format_holds_lists_without_a_shape_or_scores(tmp_path):
    ranked = RankedHeads((Head(9, 2), Head(0, 0)), (math.nan, math.nan))
    ranked.save(tmp_path / "heads.json")
    read = read_heads(str(tmp_path / "heads.json"))
    assert (read.heads, read.n_layers, read.n) == (ranked.heads, None, None) and all(map(math.isnan, read.scores))
    assert "NaN" not in (tmp_path / "heads.json").read_text()


@pytest.mark.parametrize("seed", range(3))
def test_the_layout_of_wu_keeps_heads_and_scores(tmp_path, seed):
    ranked = drawn_ranking(seed)
    ranked.save(tmp_path / "wu.json", format="wu")
    text = (tmp_path / "wu.json").read_text()
    assert "\n" not in text
    assert json.loads(text) == {f"{head.layer}-{head.head}": [score] for head, score in zip(ranked.heads, ranked.scores, strict=True)}
    read = read_heads(tmp_path / "wu.json")
    assert (read.heads, read.scores, read.n_layers, read.n_heads, read.n) == (ranked.heads, ranked.scores, 5, 7, 1)


def test_wu_s_lists_are_ranked_by_their_means(tmp_path):
    rng = random.Random(0)
    rows = {f"{layer}-{head}": [rng.random() for _ in range(9)] for layer in range(3) for head in range(4)}
    path = tmp_path / "wu.json"
    path.write_text(json.dumps(rows))
    read = read_heads(path)
    means = {key: statistics.fmean(row) for key, row in rows.items()}
    assert [f"{head.layer}-{head.head}" for head in read.heads] == sorted(means, key=lambda key: -means[key])
    assert read.scores == pytest.approx(sorted(means.values(), reverse=True)) and (read.n_layers, read.n_heads, read.n) == (3, 4, 9)
    assert read.statistic and not read.model


def test_a_partial_list_of_wu_s_tells_no_shape(tmp_path):
    (tmp_path / "part.json").write_text('{"1-2": [0.5, 1], "0-3": [1]}')
    read = read_heads(tmp_path / "part.json")
    assert (read.heads, read.scores) == ((Head(0, 3), Head(1, 2)), (1.0, 0.75))
    assert (read.n_layers, read.n_heads, read.n) == (None, None, None)


@pytest.mark.parametrize(
    ("name", "shape", "n"),
    [
        ("wu_Qwen1.5-14B.json", (40, 40), 390),
        ("decore_Meta-Llama-3-8B-Instruct.json", (32, 32), None),
        ("retmask_Olmo-3-7B-Think.json", (32, 32), 30),
    ],
)
def test_published_lists_of_wu_s_are_read(name, shape, n):
    path = real_data("head_scores") / name
    read = read_heads(path)
    rows = json.loads(path.read_text())
    assert (read.n_layers, read.n_heads) == shape and len(read.heads) == len(rows) == math.prod(shape)
    assert n is None or read.n == n
    for head, score in list(zip(read.heads, read.scores, strict=True))[:: len(rows) // 20]:
        assert score == pytest.approx(statistics.fmean(rows[f"{head.layer}-{head.head}"]))
    assert list(read.scores) == sorted(read.scores, reverse=True)


BAD = {
    "underscore": ('{"0-0": [1], "3_4": [0.1]}', "a head is written there as 'layer-head', such as '3-4', got '3_4'"),
    "only an underscore": ('{"3_4": [0.1]}', "got '3_4'"),
    "negative": ('{"-1-4": [0.1]}', "got '-1-4'"),
    "leading zero": ('{"0-1": [1], "00-1": [1]}', "got '00-1'"),
    "other digits": ('{"0-1": [1], "٣-1": [1]}', "got '٣-1'"),
    "key twice": ('{"0-1": [1], "0-1": [0]}', "the key '0-1' stands there twice"),
    "NaN": ('{"0-1": [1, NaN]}', "the scores of the head '0-1' must be numbers, got 'nan'"),
    "too large": ('{"0-1": [1e999]}', "'0-1' must be numbers, got 'inf'"),
    "a very long number": ('{"0-1": [1' + "0" * 400 + "]}", "'0-1' must be numbers, got '1000"),
    "text": ('{"0-1": ["a"]}', "'0-1' must be numbers, got 'a'"),
    "true": ('{"0-1": [true]}', "'0-1' must be numbers, got 'True'"),
    "null": ('{"0-1": [1], "1-0": null}', "the head '1-0' needs a list of at least one score, got 'None'"),
    "a number for a list": ('{"0-1": [1], "1-0": 0.5}', "the head '1-0' needs a list of at least one score, got '0.5'"),
    "no scores": ('{"0-1": []}', r"the head '0-1' needs a list of at least one score, got '\[\]'"),
    "empty object": ("{}", r"no list of heads in a known format \(.*mechdyn, .*wu\)"),
    "empty": (" \n", "the file is empty"),
    "cut": ('{"0-1": [0.5, 0.2', "it is not JSON"),
    "nested": ("[" * 200_000, "it is not JSON"),
    "text file": ("L0H1 L0H2", r"no list of heads in a known format"),
    "a list": ("[1, 2]", r"no list of heads in a known format"),
    "version": (json.dumps({**OWN, "version": 3, "heads": OWN_HEADS}), "reads versions 1 and 2 of the format, got '3'; update mechdyn"),
    "no heads": (json.dumps(OWN), r"'heads' must be a list of at least one \[head, score\], got 'None'"),
    "no entry": (json.dumps({**OWN, "heads": []}), "at least one"),
    "half an entry": (json.dumps({**OWN, "heads": [["L0H1"]]}), r"an entry of 'heads' is \[head, score\], such as .*, got \"\['L0H1'\]\""),
    "not a head": (json.dumps({**OWN, "heads": [["0-1", 0.5]]}), "a head is written like L4H7 .*, got '0-1'"),
    "own twice": (json.dumps({**OWN, "heads": [OWN_HEADS[0], OWN_HEADS[0]]}), "a ranking names each head once, got L0H1 twice"),
    "own NaN": (json.dumps({**OWN, "heads": [["L0H1", math.nan]]}), "the score of L0H1 must be a number, or null .*, got 'nan'"),
    "out of order": (json.dumps({**OWN, "heads": OWN_HEADS[::-1]}), "in descending order of their scores, L0H1 has 0.5 behind 0.25"),
    "outside": (json.dumps({**OWN, "n_layers": 1, "heads": OWN_HEADS}), "head L1H0 is outside a model of 1 layers x 2 heads"),
    "no spread": (json.dumps({**OWN, "version": 2, "heads": OWN_HEADS}), r"an entry of 'heads' is \[head, score, spread\], such as"),
    "bad spread": (json.dumps({**OWN, "version": 2, "heads": [["L0H1", 0.5, []]]}), "the spread of L0H1 is a list of scores, or an object"),
    "half a shape": (json.dumps({**OWN, "n_heads": None, "heads": OWN_HEADS}), "give both or none"),
    "another kind": (json.dumps({**OWN, "model": 3, "heads": OWN_HEADS}), "the field 'model' is of another kind, got '3'"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_malformed_file_is_one_line_with_file_and_entry(tmp_path, case):
    text, message = BAD[case]
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_heads(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_what_is_no_file_is_one_line(tmp_path):
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    for path, message in {
        tmp_path / "missing.json": "No such file",
        tmp_path: "Is a directory",
        tmp_path / "bytes": "it is not UTF-8 text",
        "x" * 5000: "File name too long",
        "a\0b": "null byte",
        "two\nlines": "No such file",
    }.items():
        with pytest.raises(InputError, match=f"the heads cannot be read from .*: .*{message}") as caught:
            read_heads(path)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


def test_what_cannot_be_written_is_one_line(tmp_path):
    ranked = drawn_ranking(0)
    with pytest.raises(InputError, match=r"the heads cannot be written to .*: No such file or directory"):
        ranked.save(tmp_path / "no folder" / "heads.json")
    with pytest.raises(InputError, match=r"unknown head-file format 'tsv'; give one of atlas, .*wu"):
        ranked.save(tmp_path / "heads.tsv", format="tsv")
    unknown = RankedHeads((Head(0, 0),), (math.nan,))
    with pytest.raises(InputError, match="the format wu holds a number for each head, L0H0 has none; save the ranking as mechdyn"):
        unknown.save(tmp_path / "heads.json", format="wu")
    with pytest.raises(InputError, match="the score of L0H0 is inf, which JSON cannot hold"):
        RankedHeads((Head(0, 0),), (math.inf,)).save(tmp_path / "heads.json")
    assert not list(tmp_path.iterdir())


def test_a_format_of_ones_own_is_recognised_and_written(tmp_path, monkeypatch):
    HEAD_FORMATS.names()
    monkeypatch.setattr(HEAD_FORMATS, "_things", dict(HEAD_FORMATS._things))

    @head_format("lines")
    class Lines:
        def recognises(self, content):
            return content.startswith("# heads\n")

        def read(self, content):
            rows = [line.split() for line in content.splitlines()[1:]]
            return rank_heads(((Head.parse(name), float(score)) for name, score in rows), None, None)

        def write(self, ranked):
            return "# heads\n" + "".join(f"{head} {score!r}\n" for head, score in zip(ranked.heads, ranked.scores, strict=True))

    @head_format("a-greedy-one")
    class Greedy(Lines):
        def recognises(self, content):
            return not content.startswith("# heads\n")

    ranked = drawn_ranking(3)
    ranked.save(tmp_path / "heads.json")
    assert read_heads(tmp_path / "heads.json") == ranked, "mechdyn's own formats are asked first"
    ranked.save(tmp_path / "heads.txt", format="lines")
    assert read_heads(tmp_path / "heads.txt").fit(5, 7) == ranked
    with pytest.raises(InputError, match="a head-file format has recognises, read and write; Half lacks read, write"):
        head_format("half")(type("Half", (), {"recognises": Lines.recognises}))
