"""How often the criteria of the alarm decide wrongly, on simulated answers whose truth is known.

`python -m experiments.alarm_error_rates --out docs/verdicts/alarm_error_rates` puts every world of `mechdyn.studies.alarm_worlds` to the
claim's own functions and writes a table (.md) and the counts (.json). `--doubt-alone` leaves kind and place out of what the models know.
"""

import argparse
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mechdyn.claims.alarm import criteria
from mechdyn.evidence import Outcome, outcome
from mechdyn.studies.alarm import DEPLOYABLE, gain_of
from mechdyn.studies.alarm_worlds import WORLDS, AlarmWorld, simulate_rows

ERRORS = (200, 400)


@dataclass(frozen=True)
class ErrorRates:
    """What the verdicts of many runs of one world were, at so many wrong tokens."""

    world: AlarmWorld
    n_wrong: int
    counts: Mapping[str, int]

    @property
    def n_runs(self) -> int:
        return sum(self.counts.values())

    def share(self, found: Outcome) -> float:
        """The share of runs with this verdict."""
        return self.counts.get(found, 0) / self.n_runs


def verdict_of(world: AlarmWorld, n_wrong: int, seed: int, *, places: bool = True) -> Outcome:
    """The verdict on one simulated experiment."""
    rows = simulate_rows(world, n_wrong, np.random.default_rng([seed, n_wrong]))
    return outcome(*criteria(rows.n_wrong, gain_of(rows, DEPLOYABLE, places=places, seed=seed)))


def error_rates(
    n_runs: int = 1000, errors: tuple[int, ...] = ERRORS, worlds: tuple[AlarmWorld, ...] = WORLDS, *, places: bool = True
) -> list[ErrorRates]:
    """Every world at every number of wrong tokens."""
    cells = [(world, n) for world in worlds for n in errors]
    found = []
    with tqdm(total=len(cells) * n_runs, unit="run", disable=None, delay=1) as bar:
        for world, n in cells:
            counts: Counter[str] = Counter()
            for seed in range(n_runs):
                counts[str(verdict_of(world, n, seed, places=places))] += 1
                bar.update()
            found.append(ErrorRates(world, n, counts))
    return found


def table(rates: list[ErrorRates]) -> str:
    """A row a world: truth, and for each number of wrong tokens the shares of supported and refuted."""
    sizes = sorted({each.n_wrong for each in rates})
    heading = " | ".join(f"{n} wrong: supported / refuted" for n in sizes)
    lines = [f"| world | retrieval tells more | {heading} |", "|---|---|" + "---:|" * len(sizes)]
    for name in dict.fromkeys(each.world.name for each in rates):
        row = {each.n_wrong: each for each in rates if each.world.name == name}
        truth = "yes" if row[sizes[0]].world.supported else "no"
        cells = (f"{100 * row[n].share(Outcome.SUPPORTED):.1f} % / {100 * row[n].share(Outcome.REFUTED):.1f} %" for n in sizes)
        lines.append(f"| {name} | {truth} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Simulate, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="stem of the files to write: OUT.json and OUT.md")
    parser.add_argument("--runs", type=int, default=1000, help="simulated experiments a world and number of wrong tokens")
    parser.add_argument("--errors", type=int, nargs="+", default=list(ERRORS), help="wrong tokens of an experiment")
    parser.add_argument("--doubt-alone", action="store_true", help="models know entropy and max p alone, not kind and place")
    arguments = parser.parse_args()
    rates = error_rates(arguments.runs, tuple(arguments.errors), places=not arguments.doubt_alone)
    counts = [{"world": each.world.name, "wrong": each.n_wrong, "counts": dict(each.counts)} for each in rates]
    arguments.out.with_suffix(".json").write_text(json.dumps({"runs": arguments.runs, "cells": counts}, indent=2) + "\n")
    arguments.out.with_suffix(".md").write_text(table(rates))
    print(table(rates))


if __name__ == "__main__":
    main()
