"""Claim 1, dynamism: retrieval heads vary from step to step (paper, 3.2; Table 1).

Adjacent Jaccard is the overlap of the sets of heads that retrieve at a step and at the next one; a static list is a fixed set, the heads
that retrieve most on other samples. Retest, which the paper lacks, is the overlap at the same step for the same needle in another haystack
at another depth: were heads noisy rather than dynamic, it would equal the adjacent one.

Supported if adjacent Jaccard and Jaccard with the best of the static lists (top 20, and top k with k the mean set size) both have their
upper end below 0.6, and adjacent lies wholly below retest (its upper end below retest's lower end). Refuted if adjacent or the best
static Jaccard has its lower end above 0.8, or adjacent is not below retest. Anything between is inconclusive, and so are fewer than 20
samples with a retrieving step. The criteria were fixed before any result was seen (docs/definitions.md, "Verdicts").

For questions heads are those of Eq. 2, and an answer is correct where it matches exactly. Questions of a file have no retest pairs, so
the verdict on them is inconclusive; the criteria that need no retest are told all the same.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mechdyn.claims.claim import claim
from mechdyn.errors import InputError
from mechdyn.evidence import (
    MIN_RETRIEVING_SAMPLES,
    Criteria,
    Criterion,
    Evidence,
    Outcome,
    Verdict,
    below,
    negated,
    outcome,
    wholly_above,
)
from mechdyn.heads import HeadSet, RankedHeads
from mechdyn.paper.parts import PaperPart, claim_parts
from mechdyn.plans import DETECTION, EVALUATION, NO_TRACES, Plan, Preset, Request, chosen_preset, retest_units, task_units
from mechdyn.stats.interval import Interval
from mechdyn.stats.means import mean_interval
from mechdyn.stats.overlap import DynamismTable, dynamism_table, heads_per_step, static_ranking
from mechdyn.tasks.task import Task, answer_quality, is_correct, primary_metric
from mechdyn.traces.clusters import trace_clusters
from mechdyn.traces.trace import Trace

LOW, HIGH = 0.6, 0.8
ADJACENT, STATIC, RETEST, HEADS = "adjacent Jaccard", "Jaccard with static", "retest Jaccard", "heads per retrieving step"
"""What evidence calls the overlaps and the number of heads; the overlap with a static list is at `list`."""
CRITERION_LIST, MATCHED = "top 20", "top k = mean set size"
STATIC_SIZES = (20, 50, 100)
STATIC_SHARES = (5, 10, 20)

PRESETS = {
    "quick": Preset((256, 512), n_seeds=4),
    "standard": Preset((256, 512, 1024), n_seeds=8),
    "paper": Preset((5000,), n_seeds=20),
}


@claim
@dataclass(frozen=True)
class Dynamism:
    """The claim, its plan and its judge."""

    name: str = "dynamism"
    paper: str = "3.2, Table 1"
    parts: tuple[PaperPart, ...] = claim_parts("dynamism", "Table 1", "Section 4, dynamism")

    def plan(self, request: Request, traces: Mapping[str, Sequence[Trace]] = NO_TRACES) -> Plan:
        """Roles: `detection` ranks the static heads, `evaluation` is measured, `retest` repeats each evaluation needle elsewhere."""
        preset = chosen_preset(PRESETS, request)
        roles = {"detection": task_units(request, preset, DETECTION), "evaluation": task_units(request, preset, EVALUATION)}
        retest = retest_units(request, preset)
        return Plan(roles | {"retest": retest} if retest else roles)

    def judge(self, request: Request, traces: Mapping[str, Sequence[Trace]]) -> Verdict:
        """Evidence is the whole of Table 1 with its second rows, the static lists, and retest."""
        correct = [trace for trace in traces["detection"] if _is_correct(trace)]
        repeated = zip(traces["evaluation"], traces["retest"], strict=True) if "retest" in traces else ()
        pairs = [(first, second) for first, second in repeated if _is_correct(first) and _is_correct(second)]
        evaluation = [trace for trace in traces["evaluation"] if trace.stopped != "error"]
        if not evaluation:
            raise InputError(f"every generation of {request.model['name']} failed (NaN or infinite logits); run it in another dtype")
        ranking = static_ranking(correct) if correct else None
        statics = static_lists(ranking, evaluation) if ranking else {}
        verdict = decide(
            request, dynamism_table(evaluation, statics, pairs), _quality(evaluation), n_detection=len(correct), n_pairs=len(pairs)
        )
        return replace(verdict, facts={**verdict.facts, "failed_samples": len(traces["evaluation"]) - len(evaluation)})


def static_lists(ranking: RankedHeads, evaluation: Sequence[Trace]) -> dict[str, HeadSet]:
    """Top 20, 50 and 100 as in the paper, 5, 10 and 20 % of the heads, and as many as retrieve at a mean step (`matched`)."""
    total = len(ranking.heads)
    sizes = {f"top {k}": k for k in STATIC_SIZES if k <= total}
    sizes |= {f"top {share} %": max(1, round(total * share / 100)) for share in STATIC_SHARES}
    mean = heads_per_step(evaluation).mean.estimate
    if not math.isnan(mean):
        sizes[MATCHED] = min(total, max(1, round(mean)))
    return {name: ranking.top(k) for name, k in sizes.items()}


def decide(request: Request, table: DynamismTable, quality: Mapping[str, Interval], *, n_detection: int, n_pairs: int) -> Verdict:
    """Apply the criteria of the module's docstring to the measured table; `quality` is what the answers came to, by metric."""
    adjacent = table.adjacent.retrieving
    candidates = {name: table.static[name].retrieving for name in (CRITERION_LIST, MATCHED) if name in table.static}
    best_name = max(candidates, key=lambda name: candidates[name].estimate, default=None)
    static = candidates[best_name] if best_name else None
    retest = table.retest.retrieving if table.retest else None
    notes = _no_verdict(table.n_retrieving_samples, static, retest, request.task)
    enough = table.n_retrieving_samples >= MIN_RETRIEVING_SAMPLES
    supports, refutes = _criteria(adjacent, static, retest) if static and enough else ((), ())
    facts = {
        "task": request.task.name,
        "samples": table.n_samples,
        "retrieving_samples": table.n_retrieving_samples,
        "steps": table.n_steps,
        "retrieving_steps": table.n_retrieving_steps,
        "adjacent_pairs_undefined": table.adjacent.n_undefined,
        "detection_samples_correct": n_detection,
        "retest_pairs": n_pairs,
        "activated_heads": table.activated.activated,
        "total_heads": table.activated.total,
        "heads_per_step_sd": table.per_step.sd,
        "best_static_list": best_name,
    }
    found = Outcome.INCONCLUSIVE if notes else outcome(supports, refutes)
    return Verdict(str(request.model["name"]), "dynamism", found, _evidence(table, quality), supports, refutes, notes, facts)


def _no_verdict(n_retrieving: int, static: Interval | None, retest: Interval | None, task: Task) -> tuple[str, ...]:
    """Why the verdict is inconclusive whatever the criteria say; empty where they decide."""
    never = () if task.has_retest else (_without_retest(task),)
    if n_retrieving < MIN_RETRIEVING_SAMPLES:
        return f"{n_retrieving} samples retrieve at any step; {MIN_RETRIEVING_SAMPLES} are needed", *never
    if static is None:
        return "no correct detection sample to rank static heads on", *never
    return () if retest else (_without_retest(task),)


def _without_retest(task: Task) -> str:
    none = "no pair with both answers correct" if task.has_retest else f"{task.name} has each sample in one context only"
    return f"there is no retest ({none}), so the verdict is inconclusive whatever else"


def _criteria(adjacent: Interval, static: Interval, retest: Interval | None) -> tuple[Criteria, Criteria]:
    """Those of the module's docstring, that support and that refute; without a retest the ones that need it are undefined."""
    best = f"Jaccard with the best static list {static}"
    compared = f" {retest}" if retest else ""
    supports = (
        Criterion(f"adjacent Jaccard {adjacent} has its upper end below {LOW}", below(adjacent.high, LOW)),
        Criterion(f"{best} has its upper end below {LOW}", below(static.high, LOW)),
        Criterion(f"adjacent lies wholly below retest{compared}", wholly_above(retest, adjacent) if retest else None),
    )
    not_below = negated(below(adjacent.estimate, retest.estimate)) if retest else None
    refutes = (
        Criterion(f"adjacent Jaccard {adjacent} has its lower end above {HIGH}", below(HIGH, adjacent.low)),
        Criterion(f"{best} has its lower end above {HIGH}", below(HIGH, static.low)),
        Criterion(f"adjacent {adjacent} is not below retest{compared}", not_below),
    )
    return supports, refutes


def _evidence(table: DynamismTable, quality: Mapping[str, Interval]) -> tuple[Evidence, ...]:
    """Table 1 with its second rows (over all steps, else over those that retrieve), lists in the order they were made."""
    rows = [
        *(Evidence(name, interval) for name, interval in quality.items()),
        Evidence(ADJACENT, table.adjacent.retrieving),
        Evidence(ADJACENT, table.adjacent.all_steps, {"steps": "all"}),
    ]
    for name, jaccard in table.static.items():
        rows.append(Evidence(STATIC, jaccard.retrieving, {"list": name}))
        rows.append(Evidence(STATIC, jaccard.all_steps, {"list": name, "steps": "all"}))
    if table.retest:
        rows.append(Evidence(RETEST, table.retest.retrieving))
    rows.append(Evidence("entropy (nats)", table.entropy.entropy))
    rows.append(Evidence("entropy by Chao and Shen (nats)", table.entropy.chao_shen))
    rows.append(Evidence("effective heads", table.entropy.effective_heads))
    rows.append(Evidence("entropy, Eq. 3 as printed", table.entropy.raw))
    rows.append(Evidence(HEADS, table.per_step.mean, note=f"sd {table.per_step.sd:.2f}"))
    return tuple(rows)


def _is_correct(trace: Trace) -> bool:
    return is_correct(trace.task, trace.text, trace.answer)


def _quality(traces: Sequence[Trace]) -> dict[str, Interval]:
    """Accuracy for needles, EM and F1 for questions."""

    def measured(trace: Trace) -> dict[str, float]:
        if primary_metric(trace.task) == "accuracy":
            return {"accuracy": float(_is_correct(trace))}
        return answer_quality(trace.task, trace.text, trace.answer)

    rows = [measured(trace) for trace in traces]
    clusters = trace_clusters(traces)
    return {name: mean_interval(np.array([row[name] for row in rows]), clusters) for name in rows[0]}
