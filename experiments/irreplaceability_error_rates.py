"""How often the criteria of irreplaceability decide wrongly, on simulated experiments whose truth is known.

`python -m experiments.irreplaceability_error_rates --out docs/irreplaceability_error_rates` puts every world of
`mechdyn.studies.effect_worlds` to the claim's own functions and writes a table (.md) and the counts (.json).
"""

import argparse
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from mechdyn.claims.power import effect_outcome
from mechdyn.evidence import Outcome
from mechdyn.studies.effect_worlds import WORLDS, EffectWorld

SAMPLES = (20, 40, 100, 200)


@dataclass(frozen=True)
class ErrorRates:
    """What the verdicts of many runs of one world were."""

    world: EffectWorld
    n: int
    counts: Mapping[str, int]

    @property
    def n_runs(self) -> int:
        return sum(self.counts.values())

    @property
    def false(self) -> float:
        """The share of verdicts that are wrong."""
        wrong = [Outcome.SUPPORTED] if self.world.supported is not True else []
        wrong += [Outcome.REFUTED] if self.world.supported is not False else []
        return sum(self.counts.get(each, 0) for each in wrong) / self.n_runs

    @property
    def right(self) -> float | None:
        """The share of verdicts that are right; None where no verdict is."""
        if self.world.supported is None:
            return None
        return self.counts.get(Outcome.SUPPORTED if self.world.supported else Outcome.REFUTED, 0) / self.n_runs


def error_rates(n_runs: int = 1000, samples: tuple[int, ...] = SAMPLES, worlds: tuple[EffectWorld, ...] = WORLDS) -> list[ErrorRates]:
    """Every world at every number of correct samples."""
    cells = [(world, n) for world in worlds for n in samples]
    bar = tqdm(cells, unit="cell", disable=None, delay=1)
    return [ErrorRates(world, n, Counter(str(effect_outcome(world)(n, seed)) for seed in range(n_runs))) for world, n in bar]


def table(rates: list[ErrorRates]) -> str:
    """A row a world: truth, and for each number of samples the share of right and of false verdicts."""
    sizes = sorted({each.n for each in rates})
    lines = ["| world | truth | " + " | ".join(f"n = {n}: right / false" for n in sizes) + " |", "|---|---|" + "---:|" * len(sizes)]
    for name in dict.fromkeys(each.world.name for each in rates):
        row = {each.n: each for each in rates if each.world.name == name}
        truth = {True: "supported", False: "refuted", None: "no verdict"}[row[sizes[0]].world.supported]
        cells = (f"{_percent(row[n].right)} / {_percent(row[n].false)}" for n in sizes)
        lines.append(f"| {name} | {truth} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def main() -> None:
    """Simulate, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="stem of the files to write: OUT.json and OUT.md")
    parser.add_argument("--runs", type=int, default=1000, help="simulated experiments a world and number of samples")
    arguments = parser.parse_args()
    rates = error_rates(arguments.runs)
    counts = [{"world": each.world.name, "n": each.n, "counts": dict(each.counts)} for each in rates]
    arguments.out.with_suffix(".json").write_text(json.dumps({"runs": arguments.runs, "cells": counts}, indent=2) + "\n")
    arguments.out.with_suffix(".md").write_text(table(rates))
    print(table(rates))


if __name__ == "__main__":
    main()
