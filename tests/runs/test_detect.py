"""`heads detect` from end to end on the controls: planted heads come first, lists stop, resume and are read again, none is of nothing."""

import json
import math

import pytest

from mechdyn.errors import InputError, StoreError
from mechdyn.heads import read_heads
from mechdyn.models.planted.design import n_layers, planted_heads
from mechdyn.reports.page import report_markdown
from mechdyn.reports.sections import make_report
from mechdyn.runs.configs import DetectConfig
from mechdyn.runs.detect import detect
from mechdyn.runs.read import read_run
from tests.bundled import mini_tokenizer

SMALL = {"lengths": (128, 150), "depths": (0.1, 0.5, 0.9), "runs": 3}


def config(score, model="planted-static", **options):
    return DetectConfig(**{**SMALL, "model": model, "score": score, **options})


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lists")
    return {
        (model, score): detect(config(score, model), folder / f"{model}-{score}")
        for model in ("planted-static", "planted-dynamic")
        for score in ("copy_paste", "wu", "locos", "mass", "r2")
    }


@pytest.mark.parametrize("score", ["copy_paste", "wu", "locos", "mass", "r2"])
def test_the_planted_heads_are_the_first(found, score):
    static = planted_heads("static", 100, mini_tokenizer())
    ranking = found["planted-static", score].ranking
    assert set(ranking.heads[: len(static)]) == set(static)
    assert ranking.scores[len(static)] < 0.5 * ranking.scores[len(static) - 1]
    dynamic = found["planted-dynamic", score].ranking
    # Which of them serve hangs on the token, but all that ever do are of one layer.
    serving = [head for head, value in zip(dynamic.heads, dynamic.scores, strict=True) if value > 0.02 * dynamic.scores[0]]
    assert len(serving) > 8 and {head.layer for head in serving} == {n_layers("dynamic") - 1}


def test_what_is_said_beside_the_list(found):
    one = found["planted-static", "wu"]
    assert one.stable and one.agreement.correlation >= 0.9
    assert one.halves.jaccard > 0.5
    assert [(cell.length, cell.depth) for cell in one.cells] == [(length, depth) for length in (128, 150) for depth in (0.1, 0.5, 0.9)]
    assert all(cell.n_taken == cell.asked and cell.taken.low < 1 for cell in one.cells)
    assert one.ranking.n == one.n_needles == sum(cell.asked for cell in one.cells)
    assert all(interval.estimate == score for score, interval in zip(one.ranking.scores, one.intervals, strict=True))
    assert all(interval.low < interval.estimate < interval.high or math.isnan(interval.low) for interval in one.intervals)


def test_it_stops_when_the_first_heads_are_stable(found, tmp_path):
    stopped = found["planted-static", "copy_paste"]
    assert stopped.ranking.n == 12  # two rounds of six: the fewest needles that can be stable are ten
    whole = detect(config("copy_paste", until_stable=False), tmp_path / "whole")
    assert whole.ranking.n == 18


def test_run_again_it_goes_on_and_gives_the_same(found):
    before = found["planted-static", "locos"]
    texts = {path: path.read_bytes() for path in before.folder.glob("*.json")}
    detect(config("locos"), before.folder)
    assert {path: path.read_bytes() for path in before.folder.glob("*.json")} == texts
    with pytest.raises(StoreError, match="its score is 'locos', this run's is 'wu'"):
        detect(config("wu"), before.folder)


def test_the_files_hold_what_was_found(found):
    one = found["planted-dynamic", "wu"]
    ranking = read_heads(one.folder / "heads.json")
    assert ranking == one.ranking and ranking.statistic == "copies per needle token (Wu et al. 2024)"
    results = json.loads((one.folder / "results.json").read_text())
    assert [(row["head"], row["estimate"]) for row in results["heads"]] == [
        (str(head), score) for head, score in zip(ranking.heads, ranking.scores, strict=True)
    ]
    assert results["samples"] == ranking.n and results["dropped"] == {}


def test_a_report_shows_the_list_as_it_was_found(found):
    one = found["planted-static", "wu"]
    run = read_run(one.folder)
    assert str(run.content.found.intervals) == str(one.intervals) and run.content.found.cells == one.cells
    text = report_markdown(make_report([run]), "report.html")
    assert "Heads of planted-static by wu on niah" in text and "split halves: Jaccard of the first 20" in text
    assert "mechdyn heads detect --score wu" in text or "--score wu" in text


def test_prompts_are_read_once(tmp_path, caplog):
    asked = config("qr", "mini", lengths=(200,), depths=(0.5,), runs=4, task="niah")
    first = detect(asked, tmp_path / "qr")
    reads = sorted((tmp_path / "qr" / "reads").glob("*.npy"))
    assert len(reads) == first.ranking.n == 4
    reads[0].write_bytes(reads[0].read_bytes()[:-5])
    stamps = [path.stat().st_mtime_ns for path in reads[1:]]
    assert detect(asked, tmp_path / "qr").ranking == first.ranking
    assert "is damaged and is made again" in caplog.text
    assert [path.stat().st_mtime_ns for path in reads[1:]] == stamps
    assert read_run(tmp_path / "qr").content.found.name == "qr"


def test_the_two_statistics_of_qrhead_are_two_lists(tmp_path):
    asked = {score: DetectConfig(model="mini", score=score, task="world", lengths=(250,), runs=2) for score in ("qr", "qr-ndcg")}
    lists = [detect(each, tmp_path / score).ranking for score, each in asked.items()]
    assert lists[0].heads != lists[1].heads
    assert all(0 <= score <= 1 for score in lists[1].scores)


@pytest.mark.parametrize(
    ("score", "options", "wrong"),
    [
        (
            "wu",
            {"max_new_tokens": 1},
            "none of the 6 samples counts for wu, so there is no list .*6: ROUGE-1 recall of the needle",
        ),
        ("copy", {}, "unknown score 'copy'; give one of copy_paste, .*, wu; of whole prompts qr, qr-ndcg"),
        ("qr:x=1", {}, "the score qr has no options"),
        ("wu", {"preset": "huge"}, "unknown preset 'huge'"),
    ],
)
def test_a_list_of_nothing_is_one_line(tmp_path, score, options, wrong):
    with pytest.raises(InputError, match=wrong):
        detect(config(score, runs=1, **options), tmp_path / "none")
    assert not (tmp_path / "none" / "heads.json").exists()
