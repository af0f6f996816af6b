"""`mechdyn heads`: what it says of files, writes and refuses."""

import json
import re

import pytest

from mechdyn.heads import read_heads
from tests.stats.test_head_lists import drawn
from tests.studies.test_wu2024 import sampled


@pytest.fixture
def files(tmp_path):
    drawn(0, 4, 6).save(tmp_path / "a.json")
    drawn(1, 4, 6).save(tmp_path / "b.json")
    sampled(0, 6).save(tmp_path / "few.json", format="wu")
    drawn(2, 4, 2).save(tmp_path / "kv.tsv", format="duoattention")
    (tmp_path / "bad.json").write_text('{"3_4": [0.1]}')
    (tmp_path / "q.yaml").write_text('attn_head_set: "1-1,0-2"\nmodel_name_or_path: "o/m"\n')
    return tmp_path


def test_show_says_what_a_file_is(run, files):
    code, out, _ = run("heads", "show", files / "few.json", "--top", "2")
    assert code == 0
    assert re.match(r"format    wu\nmodel     \(the file does not say\)\nstatistic mean of the listed scores\nsamples   60\n", out)
    assert "heads     200 of 10 layers x 20 heads" in out and str(sampled(0, 6).heads[1]) in out and str(sampled(0, 6).heads[2]) not in out
    assert "model     o/m" in run("heads", "show", files / "q.yaml")[1]


def test_convert_writes_another_layout(run, files):
    code, out, _ = run("heads", "convert", files / "few.json", "x.yaml", "--format", "qrhead", "--top", "3", "--model", "o/m")
    assert (code, out) == (0, "wrote    x.yaml: 3 heads as qrhead\nnext     mechdyn heads show x.yaml\n")
    read = read_heads(files / "x.yaml")
    assert (read.heads, read.model) == (sampled(0, 6).heads[:3], "o/m")
    assert run("heads", "convert", files / "q.yaml", "y.json", "--shape", "4x6")[0] == 0
    assert read_heads(files / "y.json").n_heads == 6
    assert run("heads", "convert", files / "a.json", "z.tsv", "--format", "duoattention:kv_heads=3")[0] == 0
    assert len((files / "z.tsv").read_text().splitlines()[0].split("\t")) == 3


def test_compare_prints_tables_and_writes_a_page(run, files):
    code, out, _ = run("heads", "compare", "one=a.json", "b.json", "q.yaml", "kv.tsv:format=duoattention:query_heads=6", "--k", "5")
    assert code == 0
    assert re.search(r"one \| b .*│ +\d of 5 │", out) and "Which lists are alike" in out and "page     heads.html" in out
    page = (files / "heads.html").read_text()
    assert "4 lists of heads" in page and "<script src=" not in page
    assert run("heads", "compare", "a.json", "b.json", "--out", "dark.html", "--dark")[0] == 0
    assert "color-scheme: dark" in (files / "dark.html").read_text()


def test_verify_judges_lists(run, files):
    code, out, _ = run("heads", "verify", "sparse", "few.json")
    assert code == 0 and "wu2024.sparse on few: supported" in out and "the whole interval lies below 0.05" in out
    code, out, _ = run("heads", "verify", "intrinsic", "a.json", "b.json")
    assert code == 0 and "wu2024.intrinsic on b from a:" in out
    assert "wu2024.universal on all lists: inconclusive" in run("heads", "verify", "universal", "few.json")[1]


BAD = {
    "malformed": (["show", "bad.json"], r"the heads in 'bad\.json' cannot be read: .*got '3_4'"),
    "no file": (["show", "no.json"], r"the heads cannot be read from 'no\.json': No such file"),
    "no format": (["convert", "a.json", "x", "--format", "tsv"], r"unknown head-file format 'tsv'; give one of atlas, "),
    "too many": (["convert", "q.yaml", "x", "--top", "3"], r"top-k needs 1 <= k <= 2"),
    "shape": (["convert", "q.yaml", "x", "--shape", "4by6"], r"a shape is layers x heads, such as 32x32, got '4by6'"),
    "one list": (["compare", "a.json"], r"at least two lists are compared, got 1"),
    "other shapes": (["compare", "a.json", "few.json"], r"'few' cannot be compared: the heads are of a model of 10 layers x 20 heads"),
    "kv heads": (["compare", "a.json", "kv.tsv"], r"read it as FILE:format=duoattention:query_heads=6"),
    "property": (["verify", "causal", "few.json"], r"lists alone can show sparse, intrinsic or universal, got 'causal'"),
    "no shape": (["verify", "sparse", "q.yaml"], r"how many heads the model has, which this list does not say"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(run, files, case):
    arguments, message = BAD[case]
    before = sorted(files.iterdir())
    code, out, err = run("heads", *arguments)
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"error: .*{message}.*\n", err), err
    assert sorted(files.iterdir()) == before


def test_wu_s_file_of_a_single_score_is_json(run, files):
    run("heads", "convert", "a.json", "w.json", "--format", "wu")
    assert json.loads((files / "w.json").read_text())[f"{drawn(0, 4, 6).heads[0].layer}-{drawn(0, 4, 6).heads[0].head}"]


def test_detect_ranks_writes_and_refuses_a_list_of_nothing(run, tmp_path):
    samples = ("--length", "128", "--depth", "0.5", "--runs", "2")
    asked = ("heads", "detect", "--model", "planted-static", *samples, "--score", "wu", "--k", "6")
    code, out, _ = run(*asked, "--format", "wu", "--out", tmp_path / "run")
    assert code == 0
    assert "Heads of planted-static by wu on niah" in out and "NOT stable" in out and "128, 0.5" in out and "2 of 2" in out
    written, own = read_heads(tmp_path / "run" / "heads.wu.json", "wu"), read_heads(tmp_path / "run" / "heads.json")
    assert written.top(6) == own.top(6)
    code, _, err = run(*asked, "--max-new-tokens", "1", "--out", tmp_path / "none")
    assert code == 2
    assert re.fullmatch(r"error: none of the 2 samples counts for wu, so there is no list \(2: ROUGE-1 recall .*\n", err)
