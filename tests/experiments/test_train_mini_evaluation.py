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
from experiments.train_mini.card import _expected_positions, replace_evaluation, write_card
from experiments.train_mini.cells import (
    ABLATION,
    BOOK,
    ESSAYS,
    PARAGRAPHS,
    PROCEDURAL,
    PYTHON,
    STRAIGHT_BOOK,
    TWO_HOP,
    UUID,
    WORLD,
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
from experiments.train_mini.haystacks import HaystackFiles
from experiments.train_mini.train import train_worker
from mechdyn.decoding.trace import trace
from mechdyn.errors import InputError
from mechdyn.models.load import load_model
from mechdyn.runs.folder import write_json
from mechdyn.tasks.niah import niah
from mechdyn.tasks.world import world, world_items
from tests.bundled import mini_tokenizer
from tests.experiments.small_runs import SECRET, small_config, write_books

TEXTS = (PROCEDURAL, BOOK, STRAIGHT_BOOK, PYTHON, PARAGRAPHS, ESSAYS)
GOALS = {
    (UUID, 256): 0.97,
    (UUID, 512): 0.97,
    (UUID, 1024): 0.97,
    (UUID, 2048): 0.93,
    (TWO_HOP, 512): 0.95,
    (TWO_HOP, 1024): 0.88,
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


@pytest.fixture(scope="module")
def files(books) -> HaystackFiles:
    questions, essays = books / "questions.json", books / "essays.md"
    write_json(questions, world_items(3, seed=0))
    essays.write_text('I\'d "guess" so. ' * 200)
    return HaystackFiles(books, questions, essays)


def small_evaluation(model: str, files: HaystackFiles) -> EvaluateConfig:
    return EvaluateConfig(model, files, samples=2, uuid_lengths=(200,), two_hop_lengths=(220,), ablation_length=160, draws=2)


@pytest.fixture(scope="module")
def untrained(run, files) -> Evaluation:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate_module, "_NEW_TOKENS", dict.fromkeys((UUID, TWO_HOP, ABLATION), 4))
        return evaluate(small_evaluation(str(run.out / "model"), files))


def perfect(**missed: int) -> Evaluation:
    """An evaluation of 20 a cell with nothing wrong but what is named, as `uuid_1024=3`: at depth 0.25 in Python sources."""
    settings = [Setting(UUID, text, n, depth) for text in TEXTS for n in (256, 512, 1024, 2048) for depth in DEPTHS]
    settings += [Setting(TWO_HOP, WORLD, n) for n in (512, 1024)]
    settings += [Setting(ABLATION, PROCEDURAL, 512, draw=draw, commit=commit) for draw in range(5) for commit in ("clean", "ablated")]
    sizes = [100 if setting.task == TWO_HOP else 20 for setting in settings]
    cells = [Cell(setting, n, n) for setting, n in zip(settings, sizes, strict=True)]
    for name, wrong in missed.items():
        task, length = {"uuid": UUID, "hop": TWO_HOP, "ablation": ABLATION}[name.split("_")[0]], int(name.split("_")[1])
        at = next(
            index
            for index, setting in enumerate(settings)
            if (setting.task, setting.length) == (task, length) and (task != UUID or (setting.haystack, setting.depth) == (PYTHON, 0.25))
        )
        cells[at] = Cell(settings[at], sizes[at] - wrong, sizes[at])
    return Evaluation({"revision": "0123abcd"}, 1_000_000, 12.0, tuple(cells))


def test_an_untrained_model_is_wrong_everywhere_and_every_cell_has_its_samples(untrained):
    assert all(cell.right == 0 for cell in untrained.cells)
    found = {cell.setting: cell.n for cell in untrained.cells}
    expected = {Setting(UUID, text, 200, depth): 2 for text in TEXTS for depth in DEPTHS}
    expected |= {Setting(TWO_HOP, WORLD, 220): 10}
    expected |= {Setting(ABLATION, PROCEDURAL, 160, draw=draw, commit=commit): 2 for draw in (0, 1) for commit in ("clean", "ablated")}
    assert found == expected


def test_each_wrong_answer_names_the_sample_it_was_given_to(untrained, books):
    seeds = Counter(wrong.seed for wrong in untrained.wrong)
    assert len(untrained.wrong) == sum(cell.n for cell in untrained.cells)
    assert set(seeds) == set(range(1_000_000, 1_000_000 + 6 * 10 + 10 + 2 * 2))
    for wrong in untrained.wrong:
        if wrong.depth is None:
            sample = world(mini_tokenizer(), length=wrong.setting.length, seed=wrong.seed)
        elif wrong.setting.haystack in (PROCEDURAL, BOOK):
            haystack = books / "c-writer_sherlock.txt" if wrong.setting.haystack == BOOK else None
            sample = niah(mini_tokenizer(), length=wrong.setting.length, depth=wrong.depth, seed=wrong.seed, haystack=haystack)
            assert (SECRET in sample.prompt) == (wrong.setting.haystack == BOOK)
        else:
            continue
        assert sample.answer == wrong.answer


def test_a_model_that_copies_by_construction_gets_every_uuid(books):
    config = EvaluateConfig("planted-static", HaystackFiles(books), samples=1, uuid_lengths=(160,), two_hop_lengths=(), draws=0)
    cells = evaluate(config).cells
    assert {cell.setting.haystack for cell in cells} == {PROCEDURAL, BOOK, STRAIGHT_BOOK, PYTHON}
    assert len(cells) == 4 * len(DEPTHS)
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
        interval = Cell(Setting(UUID, BOOK, 256), right, n).interval
        assert interval.estimate == share
        assert (interval.low, interval.high) == pytest.approx(((middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)))


def test_goals_are_the_issues():
    assert {(row.cell.setting.task, row.cell.setting.length): row.goal for row in rows(perfect().cells)} == GOALS
    assert all(row.reached for row in rows(perfect().cells))


def test_a_goal_is_judged_by_all_samples_of_a_text_and_length():
    def missed(**wrong: int) -> set[tuple[str, int]]:
        return {(row.cell.setting.haystack, row.cell.setting.length) for row in rows(perfect(**wrong).cells) if not row.reached}

    assert missed(uuid_1024=3, uuid_2048=7, hop_512=5, ablation_512=10) == set()  # 0.97, 0.93, 0.95 and 0.9 of 100 are enough
    assert missed(uuid_1024=4) == {(PYTHON, 1024)}
    assert missed(uuid_2048=8, hop_512=6, hop_1024=13) == {(PYTHON, 2048), (WORLD, 512), (WORLD, 1024)}
    assert missed(ablation_512=11) == {(PROCEDURAL, 512)}


def test_a_length_without_a_goal_is_neither_reached_nor_missed():
    (row,) = rows([Cell(Setting(UUID, BOOK, 300, 0.5), 1, 2)])
    assert row.reached is None


def test_tables_hold_every_cell(untrained):
    assert len(goal_table(untrained.cells).splitlines()) == 2 + 6 + 1 + 2
    lines = depth_table(untrained.cells).splitlines()
    assert len(lines) == 2 + 6
    assert lines[0].count("depth") == len(DEPTHS)


def test_an_evaluation_survives_its_file(untrained, tmp_path):
    write_json(tmp_path / "evaluation.json", untrained.as_json())
    again = read_evaluation(tmp_path / "evaluation.json")
    assert again == replace(untrained, seconds=round(untrained.seconds, 1))
    (tmp_path / "evaluation.json").write_text('{"cells": []}')
    with pytest.raises(InputError, match=r"evaluation .* cannot be read"):
        read_evaluation(tmp_path / "evaluation.json")


def test_the_card_names_what_falls_short_and_only_that(run):
    card = write_card(run.out / "model", run.out, perfect(uuid_1024=5, hop_512=20)).read_text()
    shortfalls = card.split("### Where it falls short of its goals")[1].split("## Heads")[0].strip().splitlines()
    assert len(shortfalls) == 2
    assert shortfalls[0].startswith("- UUID needle, Python sources, 1024 tokens: 0.950")
    assert "0.75 at depth 0.25; the goal is 0.97" in shortfalls[0]
    assert shortfalls[1].startswith("- two-hop question, 512 tokens: 0.800")
    assert "Nowhere: every goal above was reached." in write_card(run.out / "model", run.out, perfect()).read_text()


def test_another_evaluation_replaces_the_one_of_a_card_and_nothing_else(run):
    folder = run.out / "model"
    whole = write_card(folder, run.out, perfect(hop_1024=40)).read_text()
    write_card(folder, run.out, perfect(uuid_256=9))
    assert replace_evaluation(folder, perfect(hop_1024=40)).read_text() == whole
    (folder / "README.md").write_text("# Of another recipe")
    with pytest.raises(InputError, match=r"is no card of this recipe .* write it anew with --run"):
        replace_evaluation(folder, perfect())


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
    probed = json.dumps({"step": 7, "right": {"book 160": 0.5}}) + "\n"
    (tmp_path / "log.jsonl").write_text(
        "".join(json.dumps({"step": step, "seconds": time}) + "\n" for step, time in enumerate(clock)) + probed
    )
    assert "Time: 30.0 minutes, resumed 2 times." in write_card(run.out / "model", tmp_path, None).read_text()


def test_the_cards_tokens_are_those_of_the_batches(books):
    config = small_config(books, books, workers=2, steps=5, stages=(Stage(0, (160,), 400), Stage(3, (200,), 700), Stage(9, (300,), 900)))
    maker = RowMaker(config, mini_tokenizer())
    counted = sum(maker.batch(step, worker).weights.numel() for step in range(5) for worker in range(2))
    assert _expected_positions(config) == counted


@pytest.mark.parametrize("evaluated", [True, False])
def test_the_command_ends_with_model_evaluation_and_card(books, files, tmp_path, monkeypatch, evaluated):
    config = small_config(tmp_path, books, steps=1)
    monkeypatch.setattr(command, "_parse", lambda: (config, files if evaluated else None))
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
