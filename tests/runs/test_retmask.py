"""`mechdyn retmask`: stages one by one, the whole of it, and what is refused."""

import json
import pydoc_data.topics

import pytest

from mechdyn.errors import InputError
from mechdyn.heads import Head, RankedHeads
from mechdyn.improve.retmask.preferences import read_pairs
from mechdyn.models.load import load_model
from mechdyn.runs import retmask as whole
from mechdyn.runs import retmask_arms as arms
from mechdyn.runs import retmask_stages as stages
from mechdyn.runs.retmask_configs import ContrastConfig, DeactivateConfig, RetmaskConfig, RetmaskTrainConfig

OFF = "L3H6 L3H7 L3H10 L3H11 L4H5"


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"Context:\nThe magic word is {word}.\n\nWhat is it?"}) + "\n" for word in "abcdef"))
    return str(path)


def test_a_contrast_goes_on_behind_the_last_prompt(prompts, tmp_path):
    config = ContrastConfig(heads=OFF, prompts=prompts, response_tokens=6, batch_size=2, temperature=1.0)
    expected = stages.contrast(config, tmp_path / "whole")
    assert expected.counts.prompts == 6 and len(read_pairs(expected.pairs)) == expected.counts.pairs > 0
    first = (expected.folder / "intact.jsonl").read_text().splitlines(keepends=True)
    stages.contrast(config, tmp_path / "stopped")
    kept = tmp_path / "stopped" / "intact.jsonl"
    kept.write_text("".join(first[:3]) + first[3][:20])
    (tmp_path / "stopped" / "worse.jsonl").unlink()
    again = stages.contrast(config, tmp_path / "stopped")
    assert kept.read_text().splitlines(keepends=True) == first and again.counts == expected.counts
    assert read_pairs(again.pairs).to_list() == read_pairs(expected.pairs).to_list()


def test_what_both_models_said_is_what_the_pairs_hold(prompts, tmp_path):
    found = stages.contrast(ContrastConfig(heads=OFF, prompts=prompts, response_tokens=6, temperature=0.0), tmp_path / "out")
    said = {name: [json.loads(line)["text"] for line in (found.folder / f"{name}.jsonl").open()] for name in ("intact", "worse")}
    kept = [
        pair for pair in zip(said["intact"], said["worse"], strict=True) if pair[0].strip() != pair[1].strip() and all(map(str.strip, pair))
    ]
    assert [(row["chosen"], row["rejected"]) for row in read_pairs(found.pairs)] == kept
    assert json.loads((found.folder / "pairs.json").read_text())["loser"] == {"kind": "heads", "off": OFF.split()}


def test_heads_of_a_ranking_are_those_over_tau(tmp_path):
    ranking = RankedHeads((Head(3, 7), Head(3, 6), Head(0, 1)), (0.9, 0.1, 0.09), 5, 16)
    ranking.save(tmp_path / "heads.json")
    mini = load_model("mini")
    assert str(stages.listed_heads(str(tmp_path / "heads.json"), 0.1, mini)) == "L3H6 L3H7"
    assert str(stages.listed_heads(f"{tmp_path / 'heads.json'}:top=1", 0.1, mini)) == "L3H7"
    folder, off = stages.deactivate(DeactivateConfig(heads=str(tmp_path / "heads.json")), tmp_path / "off")
    assert len(off) == 2 and (folder / "config.json").is_file()
    RankedHeads((Head(3, 7),), (0.9,), 32, 32).save(tmp_path / "other.json")
    for text, words in [("", "are wanted"), (str(tmp_path / "other.json"), "32"), ("L7H0", "L7H0")]:
        with pytest.raises(InputError, match=words):
            stages.listed_heads(text, 0.1, mini)
    with pytest.raises(InputError, match=r"scores 0\.95 or more \(the highest is 0\.9\)"):
        stages.over(ranking, 0.95)


def test_what_cannot_be_run_is_one_line_and_leaves_nothing(run, prompts, tmp_path):
    (tmp_path / "taken").mkdir()
    asked = [
        (("contrast",), "give one of the two"),
        (("contrast", "--heads", OFF, "--weaker", "mini"), "give one of the two"),
        (("contrast", "--heads", OFF, "--prompts", "nowhere.jsonl", "--out", "a"), "cannot be read"),
        (("contrast", "--weaker", "rounded:bits=1", "--prompts", prompts, "--out", "b"), "2 to 16 bits"),
        (("deactivate", "--heads", OFF, "--out", "taken"), "exists already; name a new folder"),
        (("train", "--pairs", "nowhere", "--out", "c"), "is no folder of a data set"),
        (("train", "--out", "c"), "pairs to train on are wanted; give --pairs FOLDER"),
    ]
    for arguments, words in asked:
        code, _, error = run("retmask", *arguments)
        assert code == 2 and words in error and error.count("\n") == 1, error
    assert not any((tmp_path / name).exists() for name in "abc")


def test_contrast_with_no_pair_left_says_so(prompts, tmp_path):
    with pytest.raises(InputError, match="no pairs are left: 0 pairs of 6 prompts; dropped: 6 identical"):
        stages.contrast(ContrastConfig(weaker="mini", prompts=prompts, response_tokens=4, temperature=0.0), tmp_path / "out")


def test_training_is_refused_by_settings_that_are_not_there(tmp_path):
    pytest.importorskip("trl")
    with pytest.raises(InputError, match="unknown settings 'slow'"):
        stages.settings_of(RetmaskTrainConfig(), "slow", 0)
    assert stages.settings_of(RetmaskTrainConfig(lora=8, learning_rate=1e-3, epochs=1, rows=2), "paper", 3).final_rate == 1e-4


def test_a_base_that_leaves_no_room_is_not_trained_on(tmp_path):
    pytest.importorskip("trl")
    config = RetmaskConfig(lengths=(200,), runs=2, heads=OFF)
    found = whole.retmask(config, tmp_path / "run")
    assert str(found.verdict.outcome) == "inconclusive" and "leaves no room" in found.verdict.notes[0]
    assert not (tmp_path / "run" / "models").exists()


@pytest.mark.slow
def test_a_whole_run_that_is_stopped_anywhere_comes_to_the_same(tmp_path, monkeypatch, run):
    """Stopped in the second contrast, in the second training and in the second evaluation; then reported."""
    pytest.importorskip("trl")
    haystack, prompts = tmp_path / "topics.txt", tmp_path / "prompts.jsonl"
    haystack.write_text(" ".join(" ".join(text.split()) for text in pydoc_data.topics.topics.values()))
    prompts.write_text("".join(json.dumps({"prompt": f"The magic word is {word}. What is it?"}) + "\n" for word in "abcdefgh"))
    config = RetmaskConfig(
        haystack=str(haystack),
        prompts=str(prompts),
        lengths=(256,),
        runs=5,
        heads=OFF,
        seeds=2,
        response_tokens=5,
        temperature=1.0,
        epochs=1,
    )
    expected = whole.retmask(config, tmp_path / "whole").verdict
    for name in ("said", "train_dpo", "evaluate"):
        once = getattr(arms, name)
        calls = []

        def stopped(*arguments, once=once, calls=calls, **options):
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return once(*arguments, **options)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(arms, name, stopped)
            whole.retmask(config, tmp_path / "stopped")
    again = whole.retmask(config, tmp_path / "stopped").verdict
    assert [each.as_json() for each in again.evidence] == [each.as_json() for each in expected.evidence]
    assert {path.name for path in (tmp_path / "stopped" / "models").iterdir()} == {"retmask-0", "retmask-1"}
    code, out, error = run("report", tmp_path / "stopped")
    assert code == 0 and "again, the same" in " ".join(out.split()), error
