"""Irreplaceability under the first criteria (2026-11-20), which stand beside the second under their own name.

The conditions, what each switches off and the two commit rules stand in `mechdyn.studies.conditions`. With accuracy for needles (F1 for
questions) and paired differences over samples, 95 % intervals by sample:

- supported if accuracy falls from clean to dynamic, and dynamic is below the size-matched static and the layer-matched random control,
  each difference with its lower end above 0;
- refuted if the difference to either control has its upper end below 0.05. This is asked first: a difference that is surely positive
  and surely below 0.05 refutes.

Anything between is inconclusive, and so are fewer than 20 clean samples with a retrieving step. The verdict is taken under commit="clean".
Beside it stand the same under commit="ablated", and both under the paper's own control: the same criterion with the three controls
of average size (static, random at each step, random once) in place of the two matched ones. The criteria were fixed before any
result was seen (docs/definitions.md, "Verdicts").

A sample whose generation failed (NaN or infinite logits) in any condition is left out of all of them and counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mechdyn.evidence import FIRST, MIN_RETRIEVING_SAMPLES, Criteria, Criterion, Demand, Evidence, Outcome, Side, Verdict, outcome
from mechdyn.stats.ablation import heads_ablated
from mechdyn.stats.interval import Interval
from mechdyn.stats.means import mean_interval, paired_difference
from mechdyn.studies.conditions import (
    CLEAN,
    COMMITS,
    DYNAMIC,
    PAPER_CONTROLS,
    RANDOM_AVERAGE,
    RANDOM_LAYERS,
    STATIC_AVERAGE,
    STATIC_MATCHED,
    by_sample,
    quality,
)
from mechdyn.studies.grid import HEADS_OFF
from mechdyn.tasks.task import primary_metric
from mechdyn.traces.clusters import trace_clusters
from mechdyn.traces.trace import Trace

MARGIN = 0.05
CRITERION_CONTROLS = (STATIC_MATCHED, RANDOM_LAYERS)
DIFFERENCE, SIZE = "above dynamic", HEADS_OFF
"""What evidence calls the paired difference to dynamic and the number of heads off; all of it is at `condition` and `commit`."""
_PAIRS = ((STATIC_AVERAGE, STATIC_MATCHED), (RANDOM_AVERAGE, RANDOM_LAYERS))


@dataclass(frozen=True)
class Measured:
    """Every condition under one commit rule, on the samples that failed in none of them.

    `quality` holds each metric by condition; `differences` the primary `metric` of each other condition less that of dynamic, paired;
    `sizes` the number of heads off at a step.
    """

    metric: str
    quality: Mapping[str, Mapping[str, Interval]]
    differences: Mapping[str, Interval]
    sizes: Mapping[str, Interval]
    n_samples: int
    n_failed: int
    n_retrieving: int


def first_verdict(model: str, measured: Mapping[str, Measured]) -> Verdict:
    """The criteria of the module's docstring; their evidence is that of the verdict which this stands beside."""
    supports, refutes = criteria(measured["clean"], CRITERION_CONTROLS)
    beside = {
        "verdict_commit_ablated": outcome(*criteria(measured["ablated"], CRITERION_CONTROLS, "ablated")),
        "verdict_paper_control": outcome(*criteria(measured["clean"], PAPER_CONTROLS)),
        "verdict_paper_control_commit_ablated": outcome(*criteria(measured["ablated"], PAPER_CONTROLS, "ablated")),
    }
    by_size = (line for commit in COMMITS for line in beaten_by_size(measured[commit], commit))
    return Verdict(
        model=model,
        claim="irreplaceability",
        outcome=outcome(supports, refutes),
        supports=supports,
        refutes=refutes,
        notes=(*_too_few(measured["clean"]), *_beside_in_words(beside), *by_size),
        facts={name: str(value) for name, value in beside.items()},
        named=FIRST,
    )


def measure(traces: Mapping[str, Sequence[Trace]]) -> Measured:
    """Compare conditions; the traces of each are of the same samples in the same order."""
    kept, n_failed = _kept(traces)
    groups = {name: [row[index] for row in kept] for index, name in enumerate(traces)}
    task = traces[CLEAN][0].task
    values = {name: quality([trace for draws in row for trace in draws], task) for name, row in groups.items()}
    metric = primary_metric(task)
    clean = [draws[0] for draws in groups[CLEAN]]
    clusters = trace_clusters(clean)
    primary = {name: row[metric] for name, row in values.items()}
    return Measured(
        metric=metric,
        quality={name: {condition: mean_interval(row[name], clusters) for condition, row in values.items()} for name in values[CLEAN]},
        differences={name: paired_difference(row, primary[DYNAMIC], clusters) for name, row in primary.items() if name != DYNAMIC},
        sizes={name: heads_ablated(row, clusters) for name, row in groups.items() if name != CLEAN},
        n_samples=len(kept),
        n_failed=n_failed,
        n_retrieving=sum(bool(trace.retrieving_steps.any()) for trace in clean),
    )


def clean_quality(traces: Mapping[str, Sequence[Trace]]) -> tuple[str, Mapping[str, Mapping[str, Interval]]]:
    """The primary metric and the clean answers' `quality` of `measure`, without the other conditions."""
    kept, _ = _kept(traces)
    place, task = list(traces).index(CLEAN), traces[CLEAN][0].task
    clean = [row[place][0] for row in kept]
    clusters = trace_clusters(clean)
    found = {name: {CLEAN: mean_interval(row, clusters)} for name, row in quality(clean, task).items()}
    return primary_metric(task), found


def _kept(traces: Mapping[str, Sequence[Trace]]) -> tuple[list[tuple[list[Trace], ...]], int]:
    """The samples that failed in no condition, with the draws of each condition; and how many did."""
    rows = list(zip(*map(by_sample, traces.values()), strict=True))
    kept = [row for row in rows if all(trace.stopped != "error" for draws in row for trace in draws)]
    return kept, len(rows) - len(kept)


def criteria(measured: Measured, controls: Sequence[str], commit: str = "clean") -> tuple[Criteria, Criteria]:
    """Those of the module's docstring with these controls under a commit rule, that support and that refute; too few are put to none."""
    if measured.n_retrieving < MIN_RETRIEVING_SAMPLES:
        return (), ()
    metric, difference = measured.metric, measured.differences
    falls = f"{metric} falls from clean to dynamic by {difference[CLEAN]}, lower end above 0"
    rows = {name: Evidence(DIFFERENCE, difference[name], {"condition": name, "commit": commit}, 0.0) for name in (CLEAN, *controls)}
    supports = [Criterion.asking(falls, Demand(rows[CLEAN], Side.ABOVE, 0.0))]
    supports += [
        Criterion.asking(f"dynamic is below {name} by {difference[name]}, lower end above 0", Demand(rows[name], Side.ABOVE, 0.0))
        for name in controls
    ]
    refutes = [
        Criterion.asking(
            f"the difference to {name} {difference[name]} has its upper end below {MARGIN}", Demand(rows[name], Side.BELOW, MARGIN)
        )
        for name in controls
    ]
    return tuple(supports), tuple(refutes)


def _too_few(measured: Measured) -> tuple[str, ...]:
    if measured.n_retrieving >= MIN_RETRIEVING_SAMPLES:
        return ()
    return (f"{measured.n_retrieving} samples retrieve at any step; {MIN_RETRIEVING_SAMPLES} are needed",)


def beaten_by_size(measured: Measured, commit: str) -> list[str]:
    """In words, where dynamic beats a control of average size but not the one matched to the step's size."""
    lines = []
    for average, matched in _PAIRS:
        if measured.differences[average].low > 0 and not measured.differences[matched].low > 0:
            lines.append(
                f"commit={commit}: switching the dynamic heads off hurts more than {average} and not demonstrably more than {matched}: "
                "the paper's control leaves open whether it matters which heads are off, or only how many at which step"
            )
    return lines


def _beside_in_words(beside: Mapping[str, Outcome]) -> tuple[str, ...]:
    return (
        f"with commit=ablated: {beside['verdict_commit_ablated']}",
        f"under the paper's own control (average size): {beside['verdict_paper_control']}; "
        f"with commit=ablated: {beside['verdict_paper_control_commit_ablated']}",
    )


def grid_evidence(measured: Mapping[str, Measured]) -> tuple[Evidence, ...]:
    """Every metric, paired difference and number of heads off, by condition and commit rule."""
    rows = []
    for commit, found in measured.items():
        tables = {**found.quality, DIFFERENCE: found.differences, SIZE: found.sizes}
        for measure_name, by_condition in tables.items():
            null = 0.0 if measure_name == DIFFERENCE else None
            for name, interval in by_condition.items():
                rows.append(Evidence(measure_name, interval, {"condition": name, "commit": commit}, null))
    return tuple(rows)


def grid_facts(measured: Mapping[str, Measured]) -> dict[str, Any]:
    """How many samples the conditions were compared on."""
    clean = measured["clean"]
    return {
        "metric": clean.metric,
        "samples": clean.n_samples,
        "failed_samples": clean.n_failed,
        "failed_samples_commit_ablated": measured["ablated"].n_failed,
        "retrieving_samples": clean.n_retrieving,
    }
