"""The bundled model's evaluation and card: what is counted, judged against goals and printed."""

import json
import math
import sys
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from experiments.train_mini import __main__ as command
from experiments.train_mini import evaluate as evaluate_module
from experiments.train_mini.card import _expected_positions, write_card
from experiments.train_mini.cells import (
    ABLATION,
    TWO_HOP,
    UUID,
    Cell,
    Evaluation,
    Setting,
    ablated_heads,
    depth_table,
    goal_table,
    read_evaluation,
    rows,
)
from experiments.train_mini.config import Stage, TrainConfig
from experiments.train_mini.data import RowMaker
from experiments.train_mini.evaluate import DEPTHS, EvaluateConfig, evaluate, is_exact
from experiments.train_mini.train import train_worker
from mechdyn.decoding.trace import trace
from mechdyn.errors import InputError
from mechdyn.models.load import load_model
from mechdyn.runs.folder import write_json
from mechdyn.tasks.niah import niah
from mechdyn.tasks.world import world
from tests.bundled import mini_tokenizer
from tests.experiments.small_runs import SECRET, small_config, write_books

GOALS = {
    (UUID, 256): 0.98,
    (UUID, 512): 0.98,
    (UUID, 1024): 0.98,
    (UUID, 2048): 0.9,
    (TWO_HOP, 512): 0.95,
    (TWO_HOP, 1024): 0.85,
    (ABLATION, 512): 0.9,
}
"""As the issue states them."""


@pytest.fixture(scope="module")
def books(tmp_path_factory) -> Path:
    return write_books(tmp_path_factory.mktemp("prose") / "books")


@pytest.fixture(scope="module")
def run(books, tmp_path_factory) -> TrainConfig:
    """A run of one step, exported: a model that answers nothing right."""
    config = small_config(tmp_path_factory.mktemp("run"), books, steps=1, checkpoint_every=1)
    (config.out / "config.json").write_text(json.dumps(asdict(config), default=str))
    train_worker(0, config, mini_tokenizer())
    command.export(config, mini_tokenizer())
    return config


def small_evaluation(model: str, prose: Path) -> EvaluateConfig:
    return EvaluateConfig(model, prose, samples=2, uuid_lengths=(200,), two_hop_lengths=(220,), ablation_length=160, draws=2)


@pytest.fixture(scope="module")
def untrained(run) -> Evaluation:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate_module, "_NEW_TOKENS", dict.fromkeys((UUID, TWO_HOP, ABLATION), 4))
        return evaluate(small_evaluation(str(run.out / "model"), run.prose))


def perfect(**missed: int) -> Evaluation:
    """An evaluation of 50 a cell with nothing wrong but what is named, as `uuid_1024=3`: at depth 0.25 in natural prose."""
    settings = [Setting(UUID, prose, n, depth) for prose in ("procedural", "natural") for n in (256, 512, 1024, 2048) for depth in DEPTHS]
    settings += [Setting(TWO_HOP, "world", n) for n in (512, 1024)]
    settings += [Setting(ABLATION, "procedural", 512, draw=draw, commit=commit) for draw in range(5) for commit in ("clean", "ablated")]
    cells = [Cell(setting, 50, 50) for setting in settings]
    for name, wrong in missed.items():
        task, length = {"uuid": UUID, "hop": TWO_HOP, "ablation": ABLATION}[name.split("_")[0]], int(name.split("_")[1])
        at = next(
            index
            for index, setting in enumerate(settings)
            if (setting.task, setting.length) == (task, length) and (task != UUID or (setting.prose, setting.depth) == ("natural", 0.25))
        )
        cells[at] = Cell(settings[at], 50 - wrong, 50)
    return Evaluation({"revision": "0123abcd"}, "sherlock.txt", 1_000_000, 12.0, tuple(cells))


def test_an_untrained_model_is_wrong_everywhere_and_every_cell_has_its_samples(untrained):
    assert all(cell.right == 0 for cell in untrained.cells)
    found = {cell.setting: cell.n for cell in untrained.cells}
    expected = {Setting(UUID, prose, 200, depth): 2 for prose in ("procedural", "natural") for depth in DEPTHS}
    expected |= {Setting(TWO_HOP, "world", 220): 10}
    expected |= {Setting(ABLATION, "procedural", 160, draw=draw, commit=commit): 2 for draw in (0, 1) for commit in ("clean", "ablated")}
    assert found == expected


def test_each_wrong_answer_names_the_sample_it_was_given_to(untrained, books):
    seeds = Counter(wrong.seed for wrong in untrained.wrong)
    assert len(untrained.wrong) == sum(cell.n for cell in untrained.cells)
    assert set(seeds) == set(range(1_000_000, 1_000_000 + 2 * 10 + 10 + 2 * 2))
    for wrong in untrained.wrong:
        if wrong.depth is None:
            sample = world(mini_tokenizer(), length=wrong.setting.length, seed=wrong.seed)
        else:
            haystack = books / "c-writer_sherlock.txt" if wrong.setting.prose == "natural" else None
            sample = niah(mini_tokenizer(), length=wrong.setting.length, depth=wrong.depth, seed=wrong.seed, haystack=haystack)
            assert (SECRET in sample.prompt) == (wrong.setting.prose == "natural")
        assert sample.answer == wrong.answer


def test_a_model_that_copies_by_construction_gets_every_uuid(books):
    config = EvaluateConfig("planted-static", books, samples=1, uuid_lengths=(160,), two_hop_lengths=(), draws=0)
    cells = evaluate(config).cells
    assert len(cells) == 2 * len(DEPTHS)
    assert all(cell.right == cell.n == 1 for cell in cells)


def test_exact_means_the_uuid_and_nothing_else():
    model = load_model("planted-static")
    needle = trace(model, niah(model, length=160, depth=0.5), max_new_tokens=48)
    assert is_exact(needle)
    assert not is_exact(replace(needle, text=f"It is {needle.text}"))
    assert not is_exact(replace(needle, text=needle.text[:-1]))
    question = replace(needle, task="world", answer="Anne Lorn", text="Facts of Bo. So the answer is Anne Lorn.")
    assert is_exact(question)
    assert not is_exact(replace(question, text="Facts of Anne Lorn. So the answer is Bo."))


def test_ten_percent_of_heads_and_never_none():
    assert [ablated_heads(n) for n in (80, 8, 3)] == [8, 1, 1]


def test_intervals_are_wilsons():
    for right, n in ((0, 50), (7, 50), (50, 50), (249, 250)):
        share, z = right / n, 1.959963984540054
        middle, half = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
        interval = Cell(Setting(UUID, "natural", 256), right, n).interval
        assert interval.estimate == share
        assert (interval.low, interval.high) == pytest.approx(((middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)))


def test_goals_are_the_issues():
    assert {(row.cell.setting.task, row.cell.setting.length): row.goal for row in rows(perfect().cells)} == GOALS
    assert all(row.reached for row in rows(perfect().cells))


def test_a_needle_goal_fails_at_its_worst_depth_and_the_others_by_their_mean():
    missed = {
        (row.cell.setting.task, row.cell.setting.length) for row in rows(perfect(uuid_1024=2, ablation_512=20).cells) if not row.reached
    }
    assert missed == {(UUID, 1024)}  # 0.96 at one depth of five; 0.6 in one draw of five is 0.92
    missed = {(row.cell.setting.task, row.cell.setting.length) for row in rows(perfect(hop_512=3, uuid_2048=5).cells) if not row.reached}
    assert missed == {(TWO_HOP, 512)}


def test_a_length_without_a_goal_is_neither_reached_nor_missed():
    (row,) = rows([Cell(Setting(UUID, "natural", 300, 0.5), 1, 2)])
    assert row.reached is None


def test_tables_hold_every_cell(untrained):
    assert len(goal_table(untrained.cells).splitlines()) == 2 + 2 + 1 + 2
    lines = depth_table(untrained.cells).splitlines()
    assert len(lines) == 2 + 2
    assert lines[0].count("depth") == len(DEPTHS)


def test_an_evaluation_survives_its_file(untrained, tmp_path):
    write_json(tmp_path / "evaluation.json", untrained.as_json())
    again = read_evaluation(tmp_path / "evaluation.json")
    assert again == replace(untrained, seconds=round(untrained.seconds, 1))
    (tmp_path / "evaluation.json").write_text('{"cells": []}')
    with pytest.raises(InputError, match=r"evaluation .* cannot be read"):
        read_evaluation(tmp_path / "evaluation.json")


def test_the_card_names_what_falls_short_and_only_that(run):
    card = write_card(run.out / "model", run.out, perfect(uuid_1024=2, hop_512=10)).read_text()
    shortfalls = card.split("### Where it falls short of its goals")[1].split("## Heads")[0].strip().splitlines()
    assert len(shortfalls) == 2
    assert shortfalls[0].startswith("- UUID needle, natural prose, 1024 tokens: 0.992")
    assert "0.96 at depth 0.25; the goal is 0.98" in shortfalls[0]
    assert shortfalls[1].startswith("- two-hop question, 512 tokens: 0.800")
    assert "Nowhere: every goal above was reached." in write_card(run.out / "model", run.out, perfect()).read_text()


def test_the_card_states_recipe_data_and_size_and_no_folder_of_this_machine(run):
    card = write_card(run.out / "model", run.out, None).read_text()
    assert "Nothing was measured of this model." in card
    assert "First (A Writer); Second (B Writer)" in card
    assert "Sherlock (C Writer) was held out" in card
    assert "| 2 | 4 | 2 | 32 | 8 | 32 | 2048 | 384 | 10000 |" in card
    assert "resumed" not in card
    assert str(run.out) not in card
    assert str(run.prose) not in card
    assert "{" not in card


def test_the_cards_time_adds_up_what_was_run_in_several_sittings(run, tmp_path):
    write_json(tmp_path / "config.json", json.loads((run.out / "config.json").read_text()))
    assert "time not recorded" in write_card(run.out / "model", tmp_path, None).read_text()
    clock = [60.0, 600.0, 30.0, 900.0, 20.0, 300.0]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps({"step": step, "seconds": time}) + "\n" for step, time in enumerate(clock)))
    assert "Time: 30.0 minutes, resumed 2 times." in write_card(run.out / "model", tmp_path, None).read_text()


def test_the_cards_tokens_are_those_of_the_batches(books):
    config = small_config(books, books, workers=2, steps=5, stages=(Stage(0, (160,), 400), Stage(3, (200,), 700), Stage(9, (300,), 900)))
    maker = RowMaker(config, mini_tokenizer())
    counted = sum(maker.batch(step, worker).weights.numel() for step in range(5) for worker in range(2))
    assert _expected_positions(config) == counted


@pytest.mark.parametrize("evaluated", [True, False])
def test_the_command_ends_with_model_evaluation_and_card(books, tmp_path, monkeypatch, evaluated):
    config = small_config(tmp_path, books, steps=1)
    monkeypatch.setattr(command, "_parse", lambda: (config, evaluated))
    monkeypatch.setattr(command, "train_tokenizer", lambda config: mini_tokenizer())
    monkeypatch.setattr(command, "evaluate", lambda config: perfect())
    command.main()
    card = (tmp_path / "model" / "README.md").read_text()
    assert ("Nothing was measured" in card) is not evaluated
    assert (tmp_path / "evaluation.json").exists() is evaluated
    assert (tmp_path / "model" / "README.md").stat().st_mode & 0o777 == 0o644


def test_bad_arguments_are_one_line_and_exit_code_2(books, tmp_path, monkeypatch, capsys):
    for arguments, message in (
        (["--model", "nothing-of-the-kind"], "unknown model 'nothing-of-the-kind'"),
        (["--model", "mini", "--samples", "0"], "samples must be at least 1 a cell, got 0"),
        (["--model", "mini", "--out", str(tmp_path / "missing" / "x.json")], "does not exist; make it"),
    ):
        monkeypatch.setattr(sys, "argv", ["evaluate", "--prose", str(books), *arguments])
        with pytest.raises(SystemExit) as exit_info:
            evaluate_module.main()
        assert exit_info.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
        assert message in line
