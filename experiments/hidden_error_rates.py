"""How often correlation and anticipation are judged wrongly, on simulated hidden states whose truth is known.

    python -m experiments.hidden_error_rates --out docs/verdicts/hidden-states-rates.md --runs 100

Each run goes through the claims' own functions under the second criteria. Finished runs are kept in FOLDER/runs.jsonl, and the same command
goes on from there. One run takes some seconds, so there are fewer than for claims on sets of heads.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from tqdm import tqdm

from mechdyn.claims import anticipation, correlation
from mechdyn.cli import run_script
from mechdyn.evidence import Outcome, Table, outcome
from mechdyn.reports.tables import table_markdown
from mechdyn.stats.means import mean_interval
from mechdyn.studies.hidden_worlds import WORLDS, HiddenWorld, simulate_hidden

N_SAMPLES = (40, 100)


def verdicts_of(world: HiddenWorld, n: int, seed: int) -> dict[str, str]:
    """Both claims' verdicts on one simulated set of traces."""
    traces = simulate_hidden(world, n, seed=seed)
    found = {}
    for claim in (correlation, anticipation):
        measured = claim.measure_crossed(traces, "auto", seed=seed)
        found[claim.__name__.rpartition(".")[2]] = str(outcome(*claim.second_criteria(measured)))
    return found


def false_outcomes(truth: bool | None) -> tuple[Outcome, ...]:
    """The verdicts that are wrong where a claim is true, false, or neither."""
    wrong = () if truth else (Outcome.SUPPORTED,)
    return wrong if truth is False else (*wrong, Outcome.REFUTED)


def table(claim: str, counts: dict[tuple[str, int], Counter[str]]) -> Table:
    """A row a world and number of samples: shares of verdicts, and of false ones with Wilson's interval, in percent."""
    truths = {name: world.correlated if claim == "correlation" else world.anticipated for name, world in WORLDS.items()}
    words = {True: "true", False: "false", None: "neither"}
    rows = []
    for (name, n), outcomes in sorted(counts.items(), key=lambda item: (list(WORLDS).index(item[0][0]), item[0][1])):
        runs, wrong = outcomes.total(), sum(outcomes[str(each)] for each in false_outcomes(truths[name]))
        share = mean_interval(np.array([1.0] * wrong + [0.0] * (runs - wrong)))
        shares = (f"{100 * outcomes[str(each)] / runs:.0f}" for each in (Outcome.SUPPORTED, Outcome.REFUTED))
        false = f"{100 * share.estimate:.1f} [{100 * share.low:.1f}, {100 * share.high:.1f}]"
        rows.append((name, words[truths[name]], str(n), str(runs), *shares, false))
    columns = ("world", f"{claim} is", "n", "runs", "supported", "refuted", "false verdicts")
    return Table(f"{claim}, second criteria: verdicts in percent", columns, tuple(rows), numbers=columns[2:])


def hidden_error_rates(
    out: Annotated[Path, typer.Option(metavar="FILE", help="The tables to write.")],
    folder: Annotated[Path, typer.Option(help="Where finished runs are kept.")] = Path("runs/hidden-error-rates"),
    runs: Annotated[int, typer.Option(min=1, help="Runs of each world and number of samples.")] = 100,
    n: Annotated[list[int] | None, typer.Option(min=15, help="Samples; may be given more than once.")] = None,
) -> None:
    """Run what is missing, and write the tables."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "runs.jsonl"
    done = {tuple(row["run"]): row["verdicts"] for row in map(json.loads, kept.read_text().splitlines())} if kept.exists() else {}
    asked = [(name, size, seed) for seed in range(runs) for size in n or N_SAMPLES for name in WORLDS]
    with kept.open("a", encoding="utf-8") as file:
        for run in tqdm([run for run in asked if run not in done], desc="hidden worlds", unit="run", disable=None):
            done[run] = verdicts_of(WORLDS[run[0]], run[1], run[2])
            file.write(json.dumps({"run": run, "verdicts": done[run]}) + "\n")
            file.flush()
            if run[:2] == (list(WORLDS)[-1], (n or N_SAMPLES)[-1]):
                out.write_text(_page(done), encoding="utf-8")
    out.write_text(_page(done), encoding="utf-8")


def _page(done: dict[tuple[str, int, int], dict[str, str]]) -> str:
    counts: dict[str, dict[tuple[str, int], Counter[str]]] = {"correlation": {}, "anticipation": {}}
    for (name, size, _), verdicts in done.items():
        for claim, found in verdicts.items():
            counts[claim].setdefault((name, size), Counter())[found] += 1
    return "\n\n".join(table_markdown(table(claim, cells)) for claim, cells in counts.items()) + "\n"


if __name__ == "__main__":
    run_script(hidden_error_rates)
