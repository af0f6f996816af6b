"""Claim 1, dynamism: retrieval heads vary from step to step (paper, 3.2; Table 1).

Supported if adjacent Jaccard and Jaccard with the best of the static lists (top 20, and top k with k the mean set size) both have their
upper end below 0.6, and adjacent lies wholly below retest (its upper end below retest's lower end). Refuted if adjacent or the best
static Jaccard has its lower end above 0.8, or adjacent is not below retest. Anything between is inconclusive, and so are fewer than 20
samples with a retrieving step. Retest, which the paper lacks, is the Jaccard of the same step's sets for the same needle in another
haystack at another depth: were heads noisy rather than dynamic, it would equal the adjacent one. The criteria were fixed before any
result was seen.

For questions heads are those of Eq. 2, and an answer is correct where it matches exactly. Questions of a file have no retest pairs, so
the verdict on them is inconclusive; the criteria that need no retest are told beside it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mechdyn.errors import InputError
from mechdyn.evidence import MIN_RETRIEVING_SAMPLES, Evidence, Outcome, Verdict
from mechdyn.heads import HeadSet, RankedHeads
from mechdyn.plans import DETECTION, EVALUATION, NO_TRACES, Plan, Preset, Request, chosen_preset, retest_units, task_units
from mechdyn.stats.overlap import DynamismTable, dynamism_table, heads_per_step, static_ranking
from mechdyn.stats.resampling import Interval, bootstrap_mean
from mechdyn.tasks.task import Task, answer_quality, is_correct, primary_metric
from mechdyn.traces.trace import Trace

LOW, HIGH = 0.6, 0.8
CRITERION_LIST, MATCHED = "top 20", "top k = mean set size"
STATIC_SIZES = (20, 50, 100)
STATIC_SHARES = (5, 10, 20)

PRESETS = {
    "quick": Preset((256, 512), n_seeds=4),
    "standard": Preset((256, 512, 1024), n_seeds=8),
    "paper": Preset((5000,), n_seeds=20),
}


@dataclass(frozen=True)
class Dynamism:
    """The claim, its plan and its judge."""

    name: str = "dynamism"

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
    outcome, reasons = _apply(adjacent, static, retest, table.n_retrieving_samples, request.task)
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
    return Verdict(str(request.model["name"]), "dynamism", outcome, _evidence(table, quality), reasons, facts)


def _apply(
    adjacent: Interval, static: Interval | None, retest: Interval | None, n_retrieving: int, task: Task
) -> tuple[Outcome, tuple[str, ...]]:
    """The outcome and, in words, every criterion with the numbers it was put to."""
    never = () if task.has_retest else (_without_retest(task),)
    if n_retrieving < MIN_RETRIEVING_SAMPLES:
        return Outcome.INCONCLUSIVE, (f"{n_retrieving} samples retrieve at any step; {MIN_RETRIEVING_SAMPLES} are needed", *never)
    if static is None:
        return Outcome.INCONCLUSIVE, ("no correct detection sample to rank static heads on", *never)
    criteria = {
        f"adjacent Jaccard {adjacent} has its upper end below {LOW}": adjacent.high < LOW,
        f"Jaccard with the best static list {static} has its upper end below {LOW}": static.high < LOW,
    }
    against = {
        f"adjacent Jaccard {adjacent} has its lower end above {HIGH}": adjacent.low > HIGH,
        f"Jaccard with the best static list {static} has its lower end above {HIGH}": static.low > HIGH,
    }
    if retest is None:
        return Outcome.INCONCLUSIVE, (_without_retest(task), *_told(criteria | against))
    criteria[f"adjacent lies wholly below retest {retest}"] = adjacent.high < retest.low
    against[f"adjacent {adjacent} is not below retest {retest}"] = adjacent.estimate >= retest.estimate
    reasons = _told(criteria | against)
    if any(against.values()):
        return Outcome.REFUTED, reasons
    return (Outcome.SUPPORTED if all(criteria.values()) else Outcome.INCONCLUSIVE), reasons


def _without_retest(task: Task) -> str:
    none = "no pair with both answers correct" if task.has_retest else f"{task.name} has each sample in one context only"
    return f"undefined: adjacent lies wholly below retest; there is no retest ({none}), so the verdict is inconclusive whatever else"


def _told(criteria: Mapping[str, bool]) -> tuple[str, ...]:
    return tuple(f"{'yes' if met else 'no'}: {text}" for text, met in criteria.items())


def _evidence(table: DynamismTable, quality: Mapping[str, Interval]) -> tuple[Evidence, ...]:
    """Table 1 with its second rows (over all steps), lists in the order they were made."""
    rows = [
        *(Evidence(name, interval) for name, interval in quality.items()),
        Evidence("adjacent Jaccard", table.adjacent.retrieving),
        Evidence("adjacent Jaccard, all steps", table.adjacent.all_steps),
    ]
    for name, jaccard in table.static.items():
        rows.append(Evidence(f"Jaccard with static {name}", jaccard.retrieving))
        rows.append(Evidence(f"Jaccard with static {name}, all steps", jaccard.all_steps))
    if table.retest:
        rows.append(Evidence("retest Jaccard", table.retest.retrieving))
    rows.append(Evidence("entropy (nats)", table.entropy.entropy))
    rows.append(Evidence("effective heads", table.entropy.effective_heads))
    rows.append(Evidence("entropy, Eq. 3 as printed", table.entropy.raw))
    rows.append(Evidence("heads per retrieving step", table.per_step.mean, note=f"sd {table.per_step.sd:.2f}"))
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
    return {name: bootstrap_mean(np.array([row[name] for row in rows]), np.ones(len(rows))) for name in rows[0]}
