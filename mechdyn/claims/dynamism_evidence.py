"""The evidence of a verdict on dynamism: what its criteria rest on, what the sets go by, and the whole of Table 1."""

from collections.abc import Sequence

import numpy as np

from mechdyn.claims.dynamism_first import ADJACENT, RETEST, STATIC
from mechdyn.evidence import LESS, Evidence, few
from mechdyn.paper.values import TABLE_1
from mechdyn.stats.fixed_list import FixedList
from mechdyn.stats.following import Following
from mechdyn.stats.means import mean_interval
from mechdyn.stats.overlap import DynamismTable
from mechdyn.tasks.task import answer_quality, is_correct, primary_metric
from mechdyn.traces.clusters import trace_clusters
from mechdyn.traces.trace import Trace

EXPLAINED, RELIABILITY = "share of what repeats that a fixed list explains", "reliability"
MATCHED_STATIC, REPEATED, RATIO = "Jaccard with as many static heads", "retest Jaccard by sample", "ratio of the two"
TURNOVER, LOSS, CONSECUTIVE, PAIRED = "turnover", "loss in the retest", "consecutive steps", "retest pairs"
"""What evidence calls the quantities of the second criteria; turnover is at `between`, a paired difference at `less` as well."""
BETWEEN_ANSWERS, IN_COMMON, TOKEN, STEP, NEITHER = "Jaccard between answers", "in common", "the token", "the step", "neither"
"""What evidence calls the overlap of steps of different needles; what they have in common is at `in common`."""
HEADS = "heads per retrieving step"


def excess_evidence(found: FixedList) -> Evidence:
    """T − L, with that of each pair."""
    return Evidence(TURNOVER, found.excess, {"between": CONSECUTIVE, LESS: LOSS}, 0.0, samples=few(found.excess_by_pair))


def own_evidence(found: FixedList | None) -> tuple[Evidence, ...]:
    """What the second criteria rest on; nothing without pairs or a ranking."""
    if found is None:
        return ()
    return (
        Evidence(EXPLAINED, found.explained),
        Evidence(RELIABILITY, found.reliability),
        excess_evidence(found),
        Evidence(TURNOVER, found.turnover, {"between": CONSECUTIVE}),
        Evidence(LOSS, found.loss),
        Evidence(MATCHED_STATIC, found.matched),
        Evidence(REPEATED, found.retest),
        Evidence(RATIO, found.ratio),
        Evidence(TURNOVER, found.retest_turnover, {"between": PAIRED}),
        Evidence(TURNOVER, found.plain_excess, {"between": CONSECUTIVE, LESS: PAIRED}, 0.0),
    )


def follows(found: Following | None) -> tuple[Evidence, ...]:
    """What the sets go by, which no criterion asks; nothing without pairs."""
    if found is None:
        return ()
    overlaps = {TOKEN: found.same_token, STEP: found.same_step, NEITHER: found.neither}
    added = {TOKEN: found.token, STEP: found.step}
    return (
        *(Evidence(BETWEEN_ANSWERS, overlap, {IN_COMMON: what}) for what, overlap in overlaps.items()),
        *(Evidence(BETWEEN_ANSWERS, effect, {IN_COMMON: what, LESS: NEITHER}, 0.0) for what, effect in added.items()),
    )


def table_1(table: DynamismTable, beside_paper: bool) -> tuple[Evidence, ...]:
    """Table 1 with its second rows (over all steps, else over those that retrieve), lists in the order they were made."""
    paper = TABLE_1 if beside_paper else {}
    adjacent = {name: row.adjacent_jaccard for name, row in paper.items()}
    top_20 = {name: row.static_jaccard for name, row in paper.items()}
    rows = [Evidence(ADJACENT, table.adjacent.retrieving, paper=adjacent)]
    rows.append(Evidence(ADJACENT, table.adjacent.all_steps, {"steps": "all"}))
    for name, jaccard in table.static.items():
        rows.append(Evidence(STATIC, jaccard.retrieving, {"list": name}, paper=top_20 if name == "top 20" else {}))
        rows.append(Evidence(STATIC, jaccard.all_steps, {"list": name, "steps": "all"}))
    if table.retest:
        rows.append(Evidence(RETEST, table.retest.retrieving))
    rows.append(Evidence("entropy (nats)", table.entropy.entropy))
    rows.append(Evidence("entropy by Chao and Shen (nats)", table.entropy.chao_shen))
    rows.append(Evidence("effective heads", table.entropy.effective_heads))
    rows.append(Evidence("entropy, Eq. 3 as printed", table.entropy.raw))
    rows.append(Evidence(HEADS, table.per_step.mean, note=f"sd {table.per_step.sd:.2f}"))
    return tuple(rows)


def quality(traces: Sequence[Trace]) -> list[Evidence]:
    """Accuracy for needles, EM and F1 for questions."""

    def measured(trace: Trace) -> dict[str, float]:
        if primary_metric(trace.task) == "accuracy":
            return {"accuracy": float(is_correct(trace.task, trace.text, trace.answer))}
        return answer_quality(trace.task, trace.text, trace.answer)

    rows = [measured(trace) for trace in traces]
    clusters = trace_clusters(traces)
    return [Evidence(name, mean_interval(np.array([row[name] for row in rows]), clusters)) for name in rows[0]]
