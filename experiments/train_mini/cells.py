"""What the evaluation measures: exact match in cells, the goals beside them, and the tables of both."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from mechdyn.errors import InputError
from mechdyn.stats.interval import Interval

UUID, TWO_HOP, ABLATION = "UUID needle", "two-hop question", "UUID needle, 10 % of heads ablated"
"""The three things that are measured; every number is an exact match."""
PROCEDURAL, BOOK, STRAIGHT_BOOK = "procedural prose", "book", "book, straight quotes"
PYTHON, PARAGRAPHS, ESSAYS = "Python sources", "HotpotQA paragraphs", "essays"
"""What a needle is hidden in; training saw none of these texts."""
WORLD = "world"
_UUID_GOALS = {256: 0.97, 512: 0.97, 1024: 0.97, 2048: 0.93}
_GOALS = {(UUID, length): goal for length, goal in _UUID_GOALS.items()} | {
    (TWO_HOP, 512): 0.95,
    (TWO_HOP, 1024): 0.88,
    (ABLATION, 512): 0.9,
}
"""By task and length, the same for every text."""
_ABLATED_SHARE = 0.1


def ablated_heads(n_heads: int) -> int:
    """How many of a model's heads the ablated cells switch off: 10 %, at least one."""
    return max(1, round(_ABLATED_SHARE * n_heads))


@dataclass(frozen=True)
class Setting:
    """What a cell was measured on.

    `haystack` is the kind of text that the needle lies in. `depth` is where it lies (None: nowhere in particular, or all depths in turn).
    `draw` numbers the random heads that are off (None: all heads on), `commit` whose keys and values are kept then (see
    `mechdyn.decoding.ablation.Ablation`).
    """

    task: str
    haystack: str
    length: int
    depth: float | None = None
    draw: int | None = None
    commit: str | None = None


@dataclass(frozen=True)
class Cell:
    """`right` exact answers out of `n` samples."""

    setting: Setting
    right: int
    n: int

    @property
    def interval(self) -> Interval:
        """Share of exact answers with Wilson's 95 % interval (samples are independent; a bootstrap of equal answers has no width)."""
        bounds = binomtest(self.right, self.n).proportion_ci(0.95, method="wilson")
        return Interval(self.right / self.n, float(bounds.low), float(bounds.high), self.n)

    def as_json(self) -> dict[str, Any]:
        interval = self.interval
        return {
            **asdict(self.setting),
            "right": self.right,
            "n": self.n,
            "estimate": interval.estimate,
            "low": interval.low,
            "high": interval.high,
        }


@dataclass(frozen=True)
class Row:
    """Cells that share a goal, pooled: all depths of a length, or all draws of random heads. `worst` is the lowest of them."""

    cell: Cell
    worst: Cell
    goal: float | None

    @property
    def reached(self) -> bool | None:
        """Whether the share of right answers is the goal or more, all depths or draws together; None without a goal."""
        return None if self.goal is None else self.cell.interval.estimate >= self.goal


@dataclass(frozen=True)
class Wrong:
    """One wrong answer, with the seed that makes its sample again."""

    setting: Setting
    seed: int
    depth: float | None
    answer: str
    text: str


@dataclass(frozen=True)
class Evaluation:
    """Everything that one evaluation found."""

    model: dict[str, Any]
    seed: int
    seconds: float
    cells: tuple[Cell, ...]
    wrong: tuple[Wrong, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "cells": [cell.as_json() for cell in self.cells],
            "wrong": [asdict(wrong) for wrong in self.wrong],
        }


def read_evaluation(path: Path) -> Evaluation:
    """What `Evaluation.as_json` wrote."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        settings = Setting.__dataclass_fields__
        cells = tuple(Cell(Setting(**{name: row[name] for name in settings}), row["right"], row["n"]) for row in found["cells"])
        wrong = tuple(Wrong(**{**row, "setting": Setting(**row["setting"])}) for row in found["wrong"])
        return Evaluation(found["model"], found["seed"], found["seconds"], cells, wrong)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"evaluation {path} cannot be read ({error}); experiments.train_mini.evaluate --out writes one") from error


def rows(cells: Sequence[Cell]) -> list[Row]:
    """Cells pooled over depths and over draws, in their order."""
    groups: dict[tuple[str, str, int, str | None], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.setting.task, cell.setting.haystack, cell.setting.length, cell.setting.commit), []).append(cell)
    found = []
    for (task, haystack, length, commit), group in groups.items():
        pooled = Cell(Setting(task, haystack, length, commit=commit), sum(cell.right for cell in group), sum(cell.n for cell in group))
        found.append(Row(pooled, min(group, key=lambda cell: cell.interval.estimate), _GOALS.get((task, length))))
    return found


def goal_table(cells: Sequence[Cell]) -> str:
    """One line a goal, as Markdown."""
    lines = ["| exact match | tokens | measured [95 %] | n | lowest | goal | reached |", "|---|---|---|---|---|---|---|"]
    for row in rows(cells):
        setting, interval = row.cell.setting, row.cell.interval
        goal = "" if row.goal is None else f"≥ {row.goal:.2f}"
        reached = {None: "", True: "yes", False: "**no**"}[row.reached]
        lines.append(f"| {describe(setting)} | {setting.length} | {interval:.3f} | {interval.n} | {_lowest(row)} | {goal} | {reached} |")
    return "\n".join(lines)


def depth_table(cells: Sequence[Cell]) -> str:
    """Needles by depth, as Markdown."""
    by_depth = [cell for cell in cells if cell.setting.depth is not None]
    depths = sorted({cell.setting.depth for cell in by_depth if cell.setting.depth is not None})
    lines = [f"| needles in | tokens | {' | '.join(f'depth {depth:g}' for depth in depths)} |", "|---" * (len(depths) + 2) + "|"]
    found = {(cell.setting.haystack, cell.setting.length, cell.setting.depth): cell for cell in by_depth}
    for haystack, length in dict.fromkeys((cell.setting.haystack, cell.setting.length) for cell in by_depth):
        texts = [f"{cell.interval:.2f}" if (cell := found.get((haystack, length, depth))) else "" for depth in depths]
        lines.append(f"| {haystack} | {length} | {' | '.join(texts)} |")
    return "\n".join(lines)


def describe(setting: Setting) -> str:
    """A setting in words, without its length."""
    if setting.task == TWO_HOP:
        return TWO_HOP
    kept = f", {setting.commit} keys and values kept" if setting.commit else ""
    return f"{setting.task}, {setting.haystack}{kept}"


def _lowest(row: Row) -> str:
    worst = row.worst.setting
    if worst.depth is not None:
        return f"{row.worst.interval.estimate:.2f} (depth {worst.depth:g})"
    return f"{row.worst.interval.estimate:.2f} (draw {worst.draw})" if worst.draw is not None else ""
