"""How often a claim's verdict is false in simulated worlds of known truth: docs/verdicts/error-rates.md, by one command.

    python -m experiments.error_rates                                        # every cell, 1,000 runs each: some hours on one core
    python -m experiments.error_rates --runs 50 --n 40 --page /dev/stdout    # a look

A cell is a claim, a world and a number of samples. It is run in chunks; a finished chunk is a line of FOLDER/chunks.jsonl, and the
same command goes on where it stopped. All cells go on together, and the page is written after every round. Another claim gets its rows
by an entry in `experiments.error_subjects`. Those of what is done with heads have a page of their own:

    python -m experiments.error_rates --claim step_budgets --claim retmask --out runs/improve-rates --page docs/verdicts/improve-rates.md
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from scipy.stats import binomtest
from tqdm import tqdm

from experiments.error_subjects import SUBJECTS as MODEL_SUBJECTS
from experiments.improve_subjects import IMPROVE_SUBJECTS
from mechdyn.cli import run_script
from mechdyn.errors import InputError
from mechdyn.evidence import Outcome, Table
from mechdyn.reports.tables import table_markdown

BAR, BAR_FROM = 0.05, 40
SUBJECTS = {**MODEL_SUBJECTS, **IMPROVE_SUBJECTS}
"""All that is simulated; where no claim is named, those about models as they are."""


@dataclass(frozen=True)
class Cell:
    """What is run many times over; `n` is the size of a run, of which the claim says what it counts."""

    claim: str
    world: str
    n: int


@dataclass(frozen=True)
class Chunk:
    """Some runs of a cell, by their seeds, with how often each criteria came to each outcome."""

    cell: Cell
    first_seed: int
    runs: int
    outcomes: Mapping[str, Mapping[str, int]]

    def as_json(self) -> str:
        cell = {"claim": self.cell.claim, "world": self.cell.world, "n": self.cell.n}
        return json.dumps({**cell, "first_seed": self.first_seed, "runs": self.runs, "outcomes": self.outcomes})

    @classmethod
    def from_json(cls, line: str) -> "Chunk":
        """What `as_json` wrote."""
        row = json.loads(line)
        return cls(Cell(row["claim"], row["world"], row["n"]), row["first_seed"], row["runs"], row["outcomes"])


def error_rates(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where finished chunks are kept.")] = Path("runs/error-rates"),
    page: Annotated[Path, typer.Option(metavar="FILE", help="The page to write.")] = Path("docs/verdicts/error-rates.md"),
    runs: Annotated[int, typer.Option(min=1, help="Runs of a cell.")] = 1000,
    n: Annotated[list[int] | None, typer.Option(min=1, help="How large a run is; may be given more than once.")] = None,
    claim: Annotated[list[str] | None, typer.Option(help="A claim; may be given more than once.")] = None,
    world: Annotated[list[str] | None, typer.Option(help="A world; may be given more than once.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    chunk: Annotated[int, typer.Option(min=1, help="Runs that are kept together; the same throughout a folder.")] = 50,
) -> None:
    """Run what is missing of every cell, and write the page."""
    cells = list(_chosen(claim or (), world or (), n or ()))
    out.mkdir(parents=True, exist_ok=True)
    kept = out / "chunks.jsonl"
    done = read_chunks(kept)
    asked = [(cell, seed) for seed in range(0, runs, chunk) for cell in cells if seed < SUBJECTS[cell.claim].runs]
    missing = [(*which, chunk) for which in asked if which not in done]
    with ProcessPoolExecutor(workers) as pool, kept.open("a", encoding="utf-8") as file:
        made = pool.map(run_chunk, *zip(*missing, strict=True)) if missing else iter(())
        for finished in tqdm(made, total=len(missing), desc="error rates", unit="chunk", disable=None):
            file.write(finished.as_json() + "\n")
            file.flush()
            done[finished.cell, finished.first_seed] = finished
            if finished.cell == cells[-1]:
                page.write_text(page_of(list(done.values())), encoding="utf-8")
    page.write_text(page_of(list(done.values())), encoding="utf-8")


def read_chunks(file: Path) -> dict[tuple[Cell, int], Chunk]:
    """The chunks of a file, by cell and first seed; none where there is no file. A line that was cut off is left out, to be run again."""
    chunks: dict[tuple[Cell, int], Chunk] = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        try:
            chunk = Chunk.from_json(line)
        except json.JSONDecodeError:
            continue
        chunks[chunk.cell, chunk.first_seed] = chunk
    return chunks


def run_chunk(cell: Cell, first_seed: int, runs: int) -> Chunk:
    """Some runs of a cell, each with its own seed."""
    subject = SUBJECTS[cell.claim]
    counts: dict[str, Counter[str]] = {name: Counter() for name in subject.readings}
    for seed in range(first_seed, first_seed + runs):
        for name, found in subject.verdicts(cell.world, cell.n, seed).items():
            counts[name][str(found)] += 1
    return Chunk(cell, first_seed, runs, counts)


@dataclass(frozen=True)
class Rates:
    """What the runs of a cell came to under one criteria: counts by outcome, and which of them are false."""

    counts: Mapping[str, int]
    false: tuple[Outcome, ...]

    @property
    def runs(self) -> int:
        return sum(self.counts.values())

    @property
    def n_false(self) -> int:
        return sum(self.counts.get(str(outcome), 0) for outcome in self.false)

    @property
    def rate(self) -> float:
        """The share of runs whose verdict is false."""
        return self.n_false / self.runs

    def share(self, outcome: Outcome) -> str:
        """Of all runs, in percent."""
        return f"{100 * self.counts.get(str(outcome), 0) / self.runs:.1f}"

    def __str__(self) -> str:
        """The rate of false verdicts in percent with its Wilson interval; bold where it is above the bar."""
        interval = binomtest(self.n_false, self.runs).proportion_ci(0.95, method="wilson")
        text = f"{100 * self.rate:.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
        return f"{text} !" if self.rate > BAR else text


def rates(chunks: Sequence[Chunk]) -> dict[Cell, dict[str, Rates]]:
    """All chunks of each cell together, by criteria."""
    counts: dict[Cell, dict[str, Counter[str]]] = {}
    for chunk in chunks:
        of_cell = counts.setdefault(chunk.cell, {name: Counter() for name in chunk.outcomes})
        for name, outcomes in chunk.outcomes.items():
            of_cell[name].update(outcomes)
    return {cell: {name: Rates(found, _false(cell)) for name, found in of_cell.items()} for cell, of_cell in counts.items()}


def _false(cell: Cell) -> tuple[Outcome, ...]:
    subject = SUBJECTS[cell.claim]
    return subject.false[subject.truths[cell.world]]


_PAGE = """# Error rates of the verdicts{about}

How often a verdict is false, by simulation: worlds whose truth is known are put through the claims' own functions, as traces of a model
would be. {{doc}}`/verdicts` says how a verdict is reached and what it cannot see; the worlds are in `mechdyn/studies` (`worlds`,
`effect_worlds`, `hidden_worlds`, `alarm_worlds`, `budget_worlds`, `retmask_worlds`). This page is made by

    python -m experiments.error_rates{options}

Numbers are percent of the runs of a cell ({runs} of them), with Wilson's 95 % interval. What n counts is said with each claim. A `!`
marks a rate above 5 %. From n = {bar_from} on, at most 5 % false verdicts are asked for under the second criteria.

{sections}
"""


def page_of(chunks: Sequence[Chunk]) -> str:
    """The whole page, of whatever has been run."""
    found = rates(chunks)
    if not found:
        raise InputError("no chunk has been run; ask for at least one world and number of samples")
    sections = "\n\n".join(part for claim in SUBJECTS for part in _section(claim, found))
    runs = sorted({next(iter(of_cell.values())).runs for of_cell in found.values()})
    counted = f"{runs[0]:,}" if len(runs) == 1 else f"{runs[0]:,} to {runs[-1]:,}"
    improve = [claim for claim in IMPROVE_SUBJECTS if any(cell.claim == claim for cell in found)]
    about = f": {' and '.join(improve)}" if improve else ""
    options = "".join(f" --claim {claim}" for claim in improve)
    return _PAGE.format(about=about, options=options, runs=counted, bar_from=BAR_FROM, sections=sections)


def _section(claim: str, found: Mapping[Cell, Mapping[str, Rates]]) -> Iterator[str]:
    """Of a claim that has been run: the worst rates of each criteria, then a table for each truth."""
    subject, own = SUBJECTS[claim], {cell: of_cell for cell, of_cell in found.items() if cell.claim == claim}
    if not own:
        return
    yield f"## {claim}"
    yield f"n is the number of {subject.sized}."
    yield table_markdown(_worst(claim, own)).rstrip()
    worlds = list(subject.truths)
    for truth in subject.false:
        cells = sorted((c for c in own if subject.truths[c.world] == truth), key=lambda c: (worlds.index(c.world), c.n))
        if cells:
            yield table_markdown(_table(claim, truth, {cell: own[cell] for cell in cells})).rstrip()


def _worst(claim: str, found: Mapping[Cell, Mapping[str, Rates]]) -> Table:
    rows = []
    for name in SUBJECTS[claim].readings:
        judged = [(of_cell[name], cell) for cell, of_cell in found.items() if cell.n >= BAR_FROM]
        if judged:
            highest, where = max(judged, key=lambda row: row[0].rate)
            above = sum(each.rate > BAR for each, _ in judged)
            rows.append((name, str(highest), f"{where.world}, n = {where.n}", f"{above} of {len(judged)}"))
    title = f"{claim}: the worst cell of each criteria, from n = {BAR_FROM} on"
    return Table(title, ("criteria", "false verdicts", "world", "cells above 5 %"), tuple(rows))


def _table(claim: str, truth: str, found: Mapping[Cell, Mapping[str, Rates]]) -> Table:
    subject = SUBJECTS[claim]
    headline, *others = subject.readings
    rows = []
    for cell, of_cell in found.items():
        own = of_cell[headline]
        rows.append(
            (
                *(cell.world, str(cell.n), f"{own.runs:,}", own.share(Outcome.SUPPORTED), own.share(Outcome.REFUTED), str(own)),
                *(str(of_cell[name]) for name in others),
            )
        )
    wrong = " or ".join(map(str, subject.false[truth])) or "neither"
    columns = ("world", "n", "runs", "supported", "refuted", f"false, {headline}", *(f"false, {name}" for name in others))
    return Table(f"{claim}: {truth} (false: {wrong})", columns, tuple(rows), numbers=columns[1:])


def _chosen(claims: Sequence[str], worlds: Sequence[str], sizes: Sequence[int]) -> Iterator[Cell]:
    """Every cell of what is named, each claim's first size first; what is not named is all there is.

    Raises:
        InputError: a claim or a world that there is not.
    """
    known_worlds = [world for name in claims or MODEL_SUBJECTS if name in SUBJECTS for world in SUBJECTS[name].truths]
    for kind, names, known in (("claim", claims, SUBJECTS), ("world", worlds, known_worlds)):
        if strangers := [name for name in names if name not in known]:
            raise InputError(f"no {kind} {strangers[0]!r} is simulated; give one of {', '.join(known)}")
    for name in claims or MODEL_SUBJECTS:
        subject = SUBJECTS[name]
        yield from (Cell(name, world, n) for n in sizes or subject.sizes for world in subject.truths if not worlds or world in worlds)


if __name__ == "__main__":
    run_script(error_rates)
