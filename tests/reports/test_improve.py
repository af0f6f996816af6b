"""What the tables of an evaluation show: variants side by side, lengths where there are several, a grid where depths were asked for."""

from mechdyn.improve.evaluation import evaluate
from mechdyn.improve.task_samples import TaskSamples
from mechdyn.improve.variant import Answer
from mechdyn.reports.improve import improve_tables
from mechdyn.tasks.niah import niah
from mechdyn.tasks.world import world
from tests.bundled import mini_tokenizer


class Saying:
    """Gives the answer, or nothing."""

    def __init__(self, name, right):
        self.name, self._right = name, right

    def answers(self, samples, *, max_new_tokens=None):
        return [Answer(sample.answer if self._right else "", (1,), 0.5) for sample in samples]

    def log_probs(self, tokens):
        raise AssertionError("there are no texts")


def tables():
    tokenizer = mini_tokenizer()
    places = [(length, depth) for length in (150, 200) for depth in (0.2, 0.8)]
    needles = tuple(niah(tokenizer, length=length, depth=depth, seed=seed) for seed, (length, depth) in enumerate(places))
    questions = tuple(world(tokenizer, length=300, seed=seed, style="direct") for seed in range(3))
    tasks = [TaskSamples("niah", needles, 8), TaskSamples("world:style=direct", questions, 8)]
    return improve_tables(evaluate(Saying("as it is", False), [Saying("one", True), Saying("two", False)], tasks, batch_size=2), "Title")


def test_variants_stand_side_by_side_and_lengths_where_there_are_several():
    quality, grid, _cost = tables()
    first = [row[:4] for row in quality.rows]
    assert first[:6] == [
        ("one", "niah", "accuracy", "all"),
        ("two", "niah", "accuracy", "all"),
        ("one", "niah", "accuracy", "150"),
        ("two", "niah", "accuracy", "150"),
        ("one", "niah", "accuracy", "200"),
        ("two", "niah", "accuracy", "200"),
    ]
    assert {row[3] for row in first if row[1] == "world:style=direct"} == {"all"}
    assert quality.rows[0][6].startswith("+1.000 [") and quality.rows[1][6].startswith("+0.000 [")
    assert "before is as it is" in quality.caption and "Tango" in quality.caption
    assert grid.rows[0] == ("one", "150", "0.00 → 1.00 (1)", "0.00 → 1.00 (1)") and len(grid.rows) == 4


def test_memory_that_is_not_known_is_no_zero_and_drift_needs_texts():
    *_, cost = tables()
    assert all(row[-1] == "unknown → unknown" for row in cost.rows)
    assert [row[0] for row in cost.rows] == ["one", "one", "two", "two"]
