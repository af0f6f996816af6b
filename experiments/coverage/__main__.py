"""Coverage of every interval by simulation, at 20 to 200 samples: `python -m experiments.coverage` fills docs/coverage.md.

`--worlds` runs one table only; `--runs` takes another number of runs than the page's.
"""

import math
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.progress import track
from scipy import stats

from experiments.coverage import claim_worlds, model_worlds, worlds
from experiments.coverage.worlds import SHARES, World
from mechdyn.cli import run_script
from mechdyn.errors import InputError
from mechdyn.evidence import Table
from mechdyn.reports.tables import print_tables, table_markdown
from mechdyn.stats.interval import Interval
from mechdyn.stats.means import mean_interval

SIZES = (20, 40, 100, 200)
LOW, HIGH = 0.93, 0.97
PAGE = Path(__file__).parents[2] / "docs" / "coverage.md"
TABLES: Mapping[str, tuple[str, Callable[[], Sequence[World]]]] = {
    "clusters": ("Proportions, three samples a needle (Wilson, effective n)", worlds.proportions_in_clusters),
    "paired": ("Differences of paired proportions (Tango)", worlds.paired_proportions),
    "means": ("Means of shares (BCa bootstrap)", worlds.means_of_shares),
    "pooled": ("Pooled means, and means in clusters (BCa bootstrap, cluster BCa bootstrap)", worlds.pooled_means),
    "differences": ("Paired differences of means (BCa bootstrap)", worlds.paired_means),
    "others": ("Other statistics (BCa bootstrap)", worlds.other_statistics),
    "in-clusters": ("Shares of several trials, and differences in clusters", claim_worlds.in_clusters),
    "heads": ("Entropy of heads, Q and T - L (BCa bootstrap)", claim_worlds.of_heads),
    "fitted": ("Areas within strata, and what is cross-fitted (BCa bootstrap)", claim_worlds.fitted),
    "lists": ("Over samples and lists (BCa bootstrap), over samples and seeds (Student's t)", model_worlds.lists_and_seeds),
    "models": ("Over models", model_worlds.models),
}
_EXACT = "exact"
_NEAR = 41
"""Proportions over which a mean is taken, within a tenth of the distance to the nearer end on either side."""


def holds(interval: Interval, truth: float) -> bool:
    """Whether an interval holds the truth; one without bounds does not."""
    return bool(interval.low - 1e-9 <= truth <= interval.high + 1e-9)


def coverage(world: World, n: int, runs: int) -> tuple[float, float]:
    """The share of intervals that hold the truth, NaN where there is none; and the share of runs that give no interval."""
    rng = np.random.default_rng([n, zlib.crc32(world.name.encode())])
    found = [world.measure(rng, n) for _ in range(runs)]
    truth = float(np.mean([each.estimate for each in found])) if world.truth is None else world.truth
    given = [each for each in found if np.isfinite([each.low, each.high]).all()]
    return float(np.mean([holds(each, truth) for each in given])) if given else math.nan, 1 - len(given) / len(found)


def exact_coverage(n: int, shares: np.ndarray) -> np.ndarray:
    """Of a proportion of `n` independent samples: the probability of those counts whose interval holds it."""
    found = [mean_interval(np.arange(n) < hits) for hits in range(n + 1)]
    held = np.array([[holds(interval, share) for interval in found] for share in shares])
    return (held * stats.binom.pmf(np.arange(n + 1), n, shares[:, None])).sum(axis=1)


def proportions_table() -> Table:
    """Wilson's coverage at each proportion, and its mean over proportions near it, both without any simulation."""
    rows = []
    for share in SHARES:
        reach = 0.1 * min(share, 1 - share)
        near = np.linspace(share - reach, share + reach, _NEAR)
        at = [float(exact_coverage(n, np.array([share]))[0]) for n in SIZES]
        around = [float(exact_coverage(n, near).mean()) for n in SIZES]
        rows += [(f"p = {share:g}", *map(_told, at)), (f"mean over p = {near[0]:.3f} to {near[-1]:.3f}", *map(_told, around))]
    numbers = tuple(f"n = {n}" for n in SIZES)
    return Table("Proportions of independent samples (Wilson), exact", ("what is measured", *numbers), tuple(rows), numbers=numbers)


def simulated_table(title: str, found: Sequence[World], runs: int, sizes: Sequence[int] = SIZES) -> Table:
    """A line for each world, a column for each number of samples (or models)."""
    cells = [(world, n) for world in found for n in sizes]
    n_runs = {world.name: max(1, min(runs // 2 if world.heavy else runs, world.at_most)) for world in found}
    values = [coverage(world, n, n_runs[world.name]) for world, n in track(cells, title, transient=True)]
    told = [tuple(_told(*value) for value in values[place * len(sizes) :][: len(sizes)]) for place in range(len(found))]
    rows = [(world.name, f"{n_runs[world.name]:,}", *cells) for world, cells in zip(found, told, strict=True)]
    numbers = ("runs", *(f"n = {n}" for n in sizes))
    return Table(title, ("what is measured", *numbers), tuple(rows), numbers=numbers)


def _told(held: float, without: float = 0.0) -> str:
    """In percent; a star marks what lies outside 93 to 97, brackets hold how often there is no interval."""
    if math.isnan(held):
        return "none"
    star = "" if LOW <= round(held, 3) <= HIGH else " *"
    return f"{100 * held:.1f}{star}{f' ({100 * without:.0f} without)' if without else ''}"


def main(
    only: Annotated[str, typer.Option("--worlds", help=f"One table: {_EXACT}, {', '.join(TABLES)}.")] = "",
    runs: Annotated[int, typer.Option(help="Runs a cell; half as many where a run is slow.")] = 4000,
) -> None:
    """Simulate, print, and write each table to its place in the page."""
    if only not in ("", _EXACT, *TABLES):
        raise InputError(f"there are the tables {_EXACT}, {', '.join(TABLES)}, got {only!r}")
    if only in ("", _EXACT):
        _tell(_EXACT, proportions_table())
    for name, (title, made) in TABLES.items():
        if only in ("", name):
            _tell(name, simulated_table(title, made(), runs, model_worlds.MODELS if name == "models" else SIZES))


def filled(page: str, name: str, table: Table) -> str:
    """The page with a table between the marks of its name, whatever stood there."""
    drawn = f"## {table.title}\n\n{table_markdown(replace(table, title=''))}"
    place = re.compile(rf"(?s)(<!-- {name} -->\n).*?(<!-- end -->)")
    return place.sub(lambda marks: f"{marks[1]}\n{drawn}\n\n{marks[2]}", page)


def _tell(name: str, table: Table) -> None:
    print_tables([table])
    PAGE.write_text(filled(PAGE.read_text(), name, table))


if __name__ == "__main__":
    run_script(main)
