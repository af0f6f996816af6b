"""Progressive ablation (3.3.2, A.2, Figure 3): what it runs, and what is measured at each k, from traces alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mechdyn.evidence import Evidence
from mechdyn.heads import RankedHeads
from mechdyn.plans import DETECTION, EVALUATION, Plan, Preset, Request
from mechdyn.stats.ablation import heads_ablated, mean_compensated
from mechdyn.stats.interval import Interval
from mechdyn.studies.conditions import CLEAN, COMMITS, DETECTION_ROLE, ZERO, by_sample, role, samples
from mechdyn.studies.grid import HEADS_OFF, mean_quality
from mechdyn.traces.clusters import trace_clusters
from mechdyn.traces.trace import Trace

PRESETS = {
    "quick": Preset((512,), n_seeds=2),
    "standard": Preset((512,), n_seeds=4),
    "paper": Preset((5000,), n_seeds=4),
}
"""The paper: 20 runs at 5000 tokens, here 4 at each of 5 depths."""
COMPENSATED = "compensated heads in static"
"""What evidence calls them; the static list is at `list`."""
STATIC_LIST = "top 20"
"""The list of A.2 and of Figure 3."""
_SMALL_MODEL = 256
_SMALL_STEPS, _LARGE_STEPS = (0, 1, 2, 3, 5, 8, 12, 16), (0, 5, 10, 15, 20, 25, 30)


@dataclass(frozen=True)
class ProgressivePoint:
    """One k under one commit rule: compensated heads in each static list (A.2), each metric, the heads that were off at a step."""

    k: int
    commit: str
    compensated: Mapping[str, Interval]
    quality: Mapping[str, Interval]
    heads_off: Interval
    n_failed: int

    def as_json(self) -> dict[str, Any]:
        return {
            "k": self.k,
            "commit": self.commit,
            "failed": self.n_failed,
            "compensated": [Evidence(COMPENSATED, value, {"list": name}).as_json() for name, value in self.compensated.items()],
            "metrics": [Evidence(name, value).as_json() for name, value in self.quality.items()],
            "heads_off_per_step": Evidence(HEADS_OFF, self.heads_off).as_json(),
        }


def default_masked(n_total: int) -> tuple[int, ...]:
    """The paper's steps of 5 for models of its size, finer ones where the whole model has at most 256 heads."""
    steps = _SMALL_STEPS if n_total <= _SMALL_MODEL else _LARGE_STEPS
    return tuple(k for k in steps if k <= n_total)


def progressive_plan(request: Request, preset: Preset, masked: Sequence[int]) -> Plan:
    """The detection set, and the k highest-ranked dynamic heads of each step switched off, for every k of `masked`."""
    roles = {DETECTION_ROLE: samples(request, preset, DETECTION)}
    for k in masked:
        for commit in COMMITS:
            ablation = {"schedule": {"kind": "dynamic", "top_k": k}, **ZERO, "commit": commit}
            roles[progressive_role(k, commit)] = samples(request, preset, EVALUATION, ablation if k else None)
    return Plan(roles)


def progressive_role(k: int, commit: str) -> str:
    """The role of k masked heads under a commit rule; with none masked the two are one."""
    return role(f"top {k} dynamic" if k else CLEAN, commit)


def progressive_point(k: int, commit: str, traces: Mapping[str, Sequence[Trace]], ranking: RankedHeads) -> ProgressivePoint:
    """Measure one k. Beside the top 20 stand the top 10 % of the heads, since 20 heads are a large part of a small model."""
    found = traces[progressive_role(k, commit)]
    done = [trace for trace in found if trace.stopped != "error"]
    groups, total = by_sample(done), len(ranking.heads)
    clusters, group_clusters = trace_clusters(done), trace_clusters([draws[0] for draws in groups])
    lists = {STATIC_LIST: ranking.top(min(20, total)), "top 10 %": ranking.top(max(1, round(total / 10)))}
    return ProgressivePoint(
        k=k,
        commit=commit,
        compensated={name: mean_compensated(done, heads, clusters) for name, heads in lists.items()},
        quality=mean_quality(found),
        heads_off=heads_ablated(groups, group_clusters),
        n_failed=len(found) - len(done),
    )
