"""What contrasts and shares of variance say of simulated worlds on permuted needles: the table of docs/follows.md.

    python -m experiments.follows_worlds

prints it. Every world of `mechdyn.studies.permuted_worlds` has 12 needles in 6 orders and 2 haystacks.
"""

import math
from typing import Annotated

import typer
from tqdm import tqdm

from mechdyn.cli import run_script
from mechdyn.evidence import Table
from mechdyn.reports.tables import table_markdown
from mechdyn.stats.contrasts import contrasts
from mechdyn.stats.interval import Interval
from mechdyn.stats.variance_shares import variance_shares
from mechdyn.studies.follows import copied_steps, variance_factors
from mechdyn.studies.permuted_worlds import FOLLOWED_WORLDS, simulate_permuted
from mechdyn.studies.worlds import SimulatedWorld

COMPONENTS = ("token", "step", "needle", "haystack", "moment", "rest")


def row(world: SimulatedWorld, n_needles: int, seed: int) -> tuple[str, ...]:
    """The two shares between haystacks, then each share of the variance."""
    steps = copied_steps(simulate_permuted(world, n_needles, seed=seed))
    across = contrasts(steps, same_haystack=False, seed=seed)
    shares = variance_shares(steps.sets, variance_factors(steps), steps.needle).shares
    return world.name, *map(_cell, (across.token_share, across.step_share, *(shares[name] for name in COMPONENTS)))


def _cell(found: Interval) -> str:
    """With two digits; a share that is not given is a dash."""
    return "–" if math.isnan(found.estimate) else f"{found:.2f}".replace("-0.00", "0.00")


def follows_worlds(
    needles: Annotated[int, typer.Option(min=4, help="Needles of each world.")] = 12,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
) -> None:
    """Print the table."""
    worlds = tqdm(FOLLOWED_WORLDS.values(), desc="worlds", unit="world", disable=None, delay=1)
    columns = ("world", "share of the token", "share of the step", *COMPONENTS)
    rows = tuple(row(world, needles, seed) for world in worlds)
    typer.echo(table_markdown(Table("", columns, rows, numbers=columns[1:])))


if __name__ == "__main__":
    run_script(follows_worlds)
