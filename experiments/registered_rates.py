"""Simulated rates of docs/verdicts/registered.md: `python -m experiments.registered_rates` prints its tables.

What intervals over models cover, and how often p from an interval is below a level where the truth is at the bound.
"""

from collections.abc import Callable, Mapping
from typing import Annotated

import numpy as np
import typer
from jaxtyping import Float
from tqdm import tqdm

from mechdyn.cli import run_script
from mechdyn.evidence import Table
from mechdyn.reports.tables import table_markdown
from mechdyn.stats.means import bootstrap_mean
from mechdyn.stats.random_effects import random_effects
from mechdyn.stats.tails import p_above, p_below

MODELS, SPREADS = (3, 4, 5, 8, 12), (0.0, 0.1, 0.3)
MEAN = 0.4
LEVELS = (0.025, 0.005)
Draw = Callable[[np.random.Generator, int], Float[np.ndarray, " sample"]]
KINDS: Mapping[str, Draw] = {
    "normal": lambda rng, n: rng.normal(0.0, 1.0, n),
    "exponential": lambda rng, n: rng.exponential(1.0, n) - 1.0,
}
"""Values of mean 0."""


def registered_rates(runs: Annotated[int, typer.Option(min=1, help="Simulated studies of each row.")] = 1000) -> None:
    """Simulate and print."""
    cells = [(k, tau) for k in MODELS for tau in SPREADS]
    rows = [(str(k), f"{tau:g}", *map(_percent, covered(k, tau, runs))) for k, tau in tqdm(cells, disable=None, delay=1)]
    print(table_markdown(Table("Coverage over models", ("models", "tau", "mean", "next model", "tau itself"), tuple(rows))))
    tails = [(kind, n) for kind in KINDS for n in (20, 40)]
    columns = tuple(f"{side}, p < {level:g}" for side in ("above", "below") for level in LEVELS)
    rows = [(kind, str(n), *map(_percent, below_levels(kind, n, runs))) for kind, n in tqdm(tails, disable=None, delay=1)]
    print(table_markdown(Table("p where the truth is at the bound", ("values", "n", *columns), tuple(rows))))


def covered(k: int, tau: float, runs: int) -> Float[np.ndarray, " 3"]:
    """How often the mean, the true value of the next model, and τ lie within their intervals."""
    rng, hits = np.random.default_rng(5), np.zeros(3)
    for _ in range(runs):
        errors = rng.uniform(0.05, 0.2, k)
        found = random_effects(rng.normal(MEAN, np.sqrt(tau**2 + errors**2)), errors)
        ahead, (low, high) = found.prediction or (np.nan, np.nan), found.tau_bounds
        after = rng.normal(MEAN, tau)
        hits += (found.mean.low <= MEAN <= found.mean.high, ahead[0] <= after <= ahead[1], low <= tau <= high)
    return hits / runs


def below_levels(kind: str, n: int, runs: int) -> list[float]:
    """The share of one-sided p below each level, above and then below the bound."""
    rng = np.random.default_rng(0)
    intervals = [bootstrap_mean(KINDS[kind](rng, n), np.ones(n), seed=seed) for seed in range(runs)]
    return [float(np.mean([(p(each, 0.0) or 1.0) < level for each in intervals])) for p in (p_above, p_below) for level in LEVELS]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    run_script(registered_rates)
