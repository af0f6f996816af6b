"""Tables: as data, and drawn for terminals of any width without a number that has lost its label."""

import io
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from mechdyn.claims.irreplaceability import Irreplaceability
from mechdyn.cli.sweep import cost_table
from mechdyn.errors import InputError
from mechdyn.evidence import Evidence, Outcome, Table, Verdict
from mechdyn.heads import Head, RankedHeads
from mechdyn.improve.drift import Drift
from mechdyn.improve.evaluation import Change, Evaluation
from mechdyn.models.budget import RunSize, budget_of
from mechdyn.paper.values import TABLE_1
from mechdyn.plans import Request
from mechdyn.reports.budget import budget_table
from mechdyn.reports.detection import detected_tables
from mechdyn.reports.improve import improve_tables
from mechdyn.reports.results import grid_table
from mechdyn.reports.tables import interval_text, print_tables, table_html, table_markdown, terminal_table
from mechdyn.reports.verdict import verdict_tables
from mechdyn.runs.configs import VerifyConfig
from mechdyn.runs.detect import CellCount, Detected
from mechdyn.runs.sweep_cost import RunCost
from mechdyn.runs.sweep_plan import SweepRun
from mechdyn.stats.head_ranking import Agreement, SplitHalf
from mechdyn.stats.interval import Interval
from mechdyn.studies.conditions import DYNAMIC, STATIC_MATCHED
from mechdyn.studies.grid import grid_rows
from mechdyn.tasks.niah import Niah
from tests.studies.made_up import MODEL, experiment
from tests.views.reading import html_tables, markdown_tables

WIDTHS = (60, 80, 100, 120)


def printed(table: Table, width: int) -> str:
    console = Console(width=width, record=True, file=io.StringIO(), force_terminal=True)
    print_tables([table], console)
    return console.export_text()


def columns_of(text: str) -> list[str]:
    """What stands in each column, line by line without blanks: a word that is longer than its column goes on in the next line."""
    lines = [re.split("[│┃]", line.strip("│┃")) for line in text.splitlines()]
    widest = max(map(len, lines))
    return ["".join("".join(line[place].split()) for line in lines if len(line) == widest) for place in range(widest)]


def dynamism() -> Table:
    names = ("accuracy", "adjacent Jaccard", "Jaccard with static top 20, all steps", "entropy (nats)")
    evidence = (
        *(Evidence(name, Interval(0.4987, 0.4512, 0.5333, 120)) for name in names),
        Evidence("retest", Interval(3.0, 2.0, 4.0, 7), note="sd 1.2"),
    )
    facts = {"task": "niah", "activated_heads": 63, "total_heads": 80, "samples": 120}
    (table,) = verdict_tables(Verdict("mini", "dynamism", Outcome.SUPPORTED, evidence, facts=facts))
    return table


def irreplaceability() -> Table:
    return verdict_tables(Irreplaceability().judge(Request(MODEL, Niah()), experiment({DYNAMIC: 2, STATIC_MATCHED: 2})))[-1]


def ablation() -> Table:
    return grid_table(grid_rows(experiment({DYNAMIC: 10}, n=20)), "Ablation")


def budget() -> Table:
    size = RunSize(lengths=(5000, 120_000), n_samples=100, n_conditions=6, ablate=True)
    return budget_table(budget_of("llama3.1-8b", size, device="h200"))


def improved() -> list[Table]:
    """What `mechdyn improve` prints: no column that tells how many samples a number rests on may be left out."""
    accuracy = (Interval(0.9, 0.7, 0.97, 20), Interval(0.95, 0.76, 0.99, 20), Interval(0.05, -0.12, 0.24, 20))
    changes = [Change("control by head", "world:style=direct", "accuracy", length, None, *accuracy) for length in (None, 512, 1024)]
    nats, moved = Interval(4.7, 4.2, 5.1, 8), Interval(0.0032, -0.0092, 0.0173, 8)
    drift = Drift("control by head", nats, nats, moved, Interval(0.0187, 0.0174, 0.0211, 8), 252)
    found = Evaluation("plain", ("control by head",), tuple(changes), (drift,), ())
    tables = improve_tables(found, "SEAL on smollm2-135m")
    assert not any(table.droppable for table in tables)
    return tables


def retmasked() -> list[Table]:
    """What `mechdyn retmask verify` prints."""
    evidence = (
        Evidence("accuracy", Interval(0.007, -0.022, 0.036, 100, "Student's t over samples and seeds"), {"weights": "retmask"}, 0.0),
        Evidence("KL to the base", Interval(0.002, math.nan, math.nan, 3), {"weights": "random-non-retrieval"}, note="nats a token"),
    )
    return verdict_tables(Verdict("mini", "retmask", Outcome.REFUTED, evidence, named="criteria of 2026-11-22"))


def detected() -> list[Table]:
    """What `mechdyn heads detect` prints."""
    heads = tuple(Head(layer, head) for layer in range(12) for head in range(2))
    ranking = RankedHeads(heads, tuple(1 - 0.02 * place for place in range(24)), 12, 2, statistic="mean over the steps of the answer")
    intervals = tuple(Interval(score, score - 0.1, score + 0.1, 30) for score in ranking.scores)
    cells = tuple(CellCount(length, depth, 10, Interval(0.8, 0.49, 0.94, 10)) for length in (1000, 50_000) for depth in (0.1, 0.9))
    halves = SplitHalf(0.71, 0.83, 0.6, 0.41, 0.82)
    dropped = {"answered wrongly": 7, "the needle is too long for the haystack": 1}
    found = Detected("copy_paste", ranking, intervals, 20, False, Agreement(0.62, 0.71), halves, cells, dropped, 9, Path("run"))
    return detected_tables(found, "Heads of smollm2-135m by copy_paste on niah")


def swept() -> list[Table]:
    """What `mechdyn sweep --dry-run` prints."""
    asked = {"model": "smollm2-135m", "task": "hotpotqa", "data": "a/rather/long/path/to/questions.json"}
    runs = [SweepRun(VerifyConfig(claim, **asked, seed=12)) for claim in ("irreplaceability", "dynamism")]
    needed = budget_of("llama3.1-8b", RunSize(lengths=(5000,), n_samples=100), device="h200")
    return [cost_table([RunCost(runs[0], 3240, 400, needed, True), RunCost(runs[1], 400, 0, None, False)])]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("made", [improved, retmasked, detected, swept])
def test_tables_of_the_other_commands_hold_at_every_width(made: Callable[[], list[Table]], width: int) -> None:
    for table in made():
        test_every_label_and_number_is_there_at_every_width(lambda table=table: table, width)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("made", [dynamism, irreplaceability, ablation, budget])
def test_every_label_and_number_is_there_at_every_width(made: object, width: int) -> None:
    table = made()
    text = printed(table, width)
    assert all(len(line) <= width for line in text.splitlines())
    left_out = [name for name in table.droppable if name in " ".join(text.partition("Left out for want of room: ")[2].split())]
    words, folded = " ".join(re.sub("[│┃]", " ", text).split()), columns_of(text)
    for row in table.rows:
        for name, cell in zip(table.columns, row, strict=True):
            if name not in left_out:
                assert all(word in words or any(word in column for column in folded) for word in cell.split()), (name, cell)
    for name in set(table.columns) - set(left_out):
        assert all(word in words for word in name.split()), name


@pytest.mark.parametrize("width", WIDTHS)
def test_a_label_its_value_and_its_n_stand_together(width: int) -> None:
    """In one line where the row is laid out in a table."""
    text = printed(dynamism(), width)
    (line,) = [line for line in text.splitlines() if "adjacent Jaccard" in line]
    cells = [cell.strip() for cell in line.strip("│").split("│")]
    assert cells[0] == "adjacent Jaccard" and cells[1].startswith("0.499") and cells[2] == "120"
    assert "Jaccard with static top 20, all steps" in text or width < 80


def test_the_papers_columns_go_first_and_a_line_says_so() -> None:
    paper = [f"paper: {name}" for name in TABLE_1]
    wide, narrow = printed(dynamism(), 200), printed(dynamism(), 100)
    assert all(name in wide for name in paper) and "Left out" not in wide
    kept, _, note = narrow.partition("Left out for want of room: ")
    gone = [name for name in paper if name in " ".join(note.split())]
    assert gone and gone == paper[-len(gone) :]
    assert "A wider terminal shows them" in note
    assert "0.499 [0.451, 0.533]" in kept, "no interval is broken up while there is a column of the paper to leave out"


def test_nothing_is_left_out_where_there_is_no_such_column() -> None:
    assert "Left out" not in printed(ablation(), 60)


def test_text_wraps_to_twenty_characters_and_then_rows_become_blocks() -> None:
    table = Table("", ("what", "n"), (("word " * 20, "1"), ("other " * 20, "2")), numbers=("n",))
    assert "│" in printed(table, 30) and "│" not in printed(table, 26)
    assert re.search(r"\n  n +2", printed(table, 26))


def test_what_acts_on_a_terminal_is_made_visible() -> None:
    evil = "\x1b[31m[red]\u202e\r\nx"
    out = io.StringIO()
    Console(file=out, width=200, no_color=True).print(terminal_table(Table(evil, (evil, "b"), ((evil, evil),), evil), 200))
    assert "\x1b" not in out.getvalue() and "\r" not in out.getvalue() and "\u202e" not in out.getvalue()
    assert out.getvalue().count("<U+001B>[31m[red]<U+202E>␍⏎x") == 5


def test_html_and_markdown_show_the_same_and_break_at_nothing() -> None:
    evil = "</td></table><script>alert(1)</script>\n| a | # b\n\n# c \x1b"
    table = Table(evil, (evil, "b"), ((evil, "1"),), evil, ("b",))
    shown = "</td></table><script>alert(1)</script>⏎| a | # b⏎⏎# c <U+001B>"
    assert html_tables(table_html(table)) == [[[shown, "b"], [shown, "1"]]]
    assert markdown_tables(table_markdown(table)) == [[[shown, "b"], [shown, "1"]]]
    assert "<script" not in table_html(table) and 'class="number">1<' in table_html(table)


def test_a_table_without_rows_title_or_caption_is_a_table() -> None:
    empty = Table("", ("a", "b"), ())
    assert html_tables(table_html(empty)) == [[["a", "b"]]] and "caption" not in table_html(empty)
    assert markdown_tables(table_markdown(empty)) == [[["a", "b"]]]
    assert printed(empty, 60).count("a") == 1


def test_a_frame_has_the_cells_as_text() -> None:
    table = ablation()
    frame = table.to_frame()
    assert list(frame.columns) == list(table.columns)
    assert [tuple(row) for row in frame.itertuples(index=False)] == list(table.rows)
    assert list(Table("", ("a",), ()).to_frame().columns) == ["a"]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"columns": ()}, "needs columns of different names"),
        ({"columns": ("a", "a")}, "needs columns of different names"),
        ({"rows": (("1",),)}, r"every row|2 columns"),
        ({"numbers": ("c",)}, "numbers and droppable name some of them"),
        ({"droppable": ("a",)}, "droppable not the first"),
    ],
)
def test_a_table_that_does_not_fit_together_is_refused(parts: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Table(**({"title": "t", "columns": ("a", "b"), "rows": ()} | parts))


def test_an_interval_is_printed_one_way() -> None:
    assert interval_text(Interval(0.975, 0.925, 1.0, 40)) == "0.975 [0.925, 1.000]"
    assert interval_text(Interval(3.0, 2.0, 4.0, 40), "sd 1.0", ".1f") == "3.0 [2.0, 4.0] (sd 1.0)"
    assert interval_text(Interval(float("nan"), float("nan"), float("nan"), 0)) == "undefined (n = 0)"
