"""Wu et al. 2024, causal: "completely pruning retrieval heads leads to failure in retrieving relevant information" (abstract).

Their experiment (section 4.1): the top retrieval heads are masked, and the needle is not found any more; as many random non-retrieval heads
are masked, and it is. Masked, in their code, is uniform ablation of the generated positions (`Ablation(method="uniform",
scope="decode")`).

Here: the list is the first 5 % of the heads, at most 30, by mean retrieval score over the correct samples of a detection set that shares
none with the measured ones. The controls are 10 random lists of as many heads that are neither listed nor score 0.1 or more there; theirs
were meant so and could hold listed heads (`mechdyn.studies.random_lists`). The metric is the task's own, accuracy for needles. Differences
are paired by sample; those to random lists have intervals over samples and lists.

Criteria, fixed before any result was seen, under uniform ablation at scope decode:

- supported if with the listed heads off more than half of the clean accuracy is lost (half of it less what is left has its lower end above
  0), with the random ones off less than half (upper end below 0), and random lies above listed (lower end above 0);
- refuted if clean less listed, or random less listed, has its upper end below 0.05.

Anything between is inconclusive, and so are fewer than 20 clean samples that are right, of which nothing could be lost. Beside it, without
a say, stand zero ablation at the same scope, and random lists with as many heads in each layer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mechdyn.claims.claim import claim
from mechdyn.errors import InputError
from mechdyn.evidence import MIN_RETRIEVING_SAMPLES, Criteria, Criterion, Demand, Evidence, Outcome, Side, Verdict, outcome
from mechdyn.heads import HeadSet
from mechdyn.paper.parts import PaperPart
from mechdyn.plans import DETECTION, NO_TRACES, Plan, Request, chosen_preset
from mechdyn.studies.conditions import CLEAN, DETECTION_ROLE, LISTED, PRESETS, RANDOM_LAYERS, Detection, detect, samples
from mechdyn.studies.modes import RANDOM, HeadLists, Mode, ModesTable, first_heads, modes_plan, modes_table
from mechdyn.studies.random_lists import DRAWS
from mechdyn.studies.wu2024 import THRESHOLD
from mechdyn.tasks.task import is_correct
from mechdyn.traces.trace import Trace

PUBLISHED, BESIDE = Mode("uniform", "decode"), Mode("zero", "decode")
MODES = (PUBLISHED, BESIDE)
HOWS = {mode: {"method": mode.method, "scope": mode.scope} for mode in MODES}
MARGIN = 0.05
LOSS, ABOVE, BEYOND_HALF = "clean less it", "it less listed", "half of clean less it"


@claim
@dataclass(frozen=True)
class WuCausal:
    """The claim, its plan and its judge."""

    name: str = "wu2024.causal"
    paper: str = ""
    parts: tuple[PaperPart, ...] = ()

    def plan(self, request: Request, traces: Mapping[str, Sequence[Trace]] = NO_TRACES) -> Plan:
        """Roles: `detection` ranks the heads; then the clean samples, and each list off in each mode."""
        preset = chosen_preset(PRESETS, request)
        roles = {DETECTION_ROLE: samples(request, preset, DETECTION)}
        lists, _ = head_lists(request, traces.get(DETECTION_ROLE, ()))
        return Plan(roles if lists is None else {**roles, **modes_plan(request, preset, lists, HOWS).roles})

    def judge(self, request: Request, traces: Mapping[str, Sequence[Trace]]) -> Verdict:
        """Evidence is the metric and both paired differences for each condition and mode."""
        model = str(request.model["name"])
        lists, why = head_lists(request, traces[DETECTION_ROLE])
        if lists is None:
            return Verdict(model, self.name, Outcome.INCONCLUSIVE, notes=(why,))
        table = modes_table({role: found for role, found in traces.items() if role != DETECTION_ROLE}, MODES, DRAWS, request.seed)
        n_right = sum(is_correct(trace.task, trace.text, trace.answer) for trace in traces[CLEAN] if trace.stopped != "error")
        supports, refutes = criteria(table, PUBLISHED, RANDOM, n_right)
        others = {
            (mode, control): outcome(*criteria(table, mode, control, n_right)) for mode in MODES for control in (RANDOM, RANDOM_LAYERS)
        }
        beside = tuple(
            f"{mode}, against {control} heads: {said}" for (mode, control), said in others.items() if (mode, control) != (PUBLISHED, RANDOM)
        )
        few = f"{n_right} clean samples are right; {MIN_RETRIEVING_SAMPLES} are needed"
        return Verdict(
            model,
            self.name,
            outcome(supports, refutes),
            _evidence(table),
            supports,
            refutes,
            (*([few] if n_right < MIN_RETRIEVING_SAMPLES else []), *beside),
            {"samples": table.clean.n, "failed_samples": table.n_failed, "right_samples": n_right, "draws": DRAWS, **_listed(lists)},
        )


def head_lists(request: Request, detection: Sequence[Trace]) -> tuple[HeadLists | None, str]:
    """The listed heads and their controls by the detection set; or None and why there are none."""
    found = detect(detection)
    if found is None:
        return None, f"none of {len(detection)} detection samples was answered correctly, so no heads can be listed"
    listed = first_heads(found.ranking, len(found.ranking.heads))
    try:
        return HeadLists.of(listed, DRAWS, request.seed, excluded=retrieving(found)), ""
    except InputError as error:
        return None, f"there is no control: {error}"


def retrieving(detection: Detection) -> HeadSet:
    """The heads whose mean score on the detection set is 0.1 or more."""
    ranking = detection.ranking
    found = (head for head, score in zip(ranking.heads, ranking.scores, strict=True) if score >= THRESHOLD)
    return HeadSet(frozenset(found), ranking.n_layers, ranking.n_heads)


def criteria(table: ModesTable, mode: Mode, control: str, n_right: int) -> tuple[Criteria, Criteria]:
    """Those of the module's docstring in a mode, against a control: that support, and that refute; too few samples are put to none."""
    if n_right < MIN_RETRIEVING_SAMPLES:
        return (), ()
    listed, others = table.row(mode, LISTED), table.row(mode, control)
    above = others.above_listed
    assert above is not None  # a control is compared with the list
    own, other = ({"mode": str(mode), "condition": condition} for condition in (LISTED, control))
    lost, kept = Evidence(BEYOND_HALF, listed.beyond_half, own, 0.0), Evidence(BEYOND_HALF, others.beyond_half, other, 0.0)
    apart, loss = Evidence(ABOVE, above, other, 0.0), Evidence(LOSS, listed.loss, own, 0.0)
    supports = (
        Criterion.asking(
            f"listed heads off: half of clean less what is left, {listed.beyond_half}, lower end above 0", Demand(lost, Side.ABOVE, 0.0)
        ),
        Criterion.asking(f"{control} heads off: the same, {others.beyond_half}, upper end below 0", Demand(kept, Side.BELOW, 0.0)),
        Criterion.asking(f"{control} less listed, {above}, lower end above 0", Demand(apart, Side.ABOVE, 0.0)),
    )
    refutes = (
        Criterion.asking(f"clean less listed, {listed.loss}, upper end below {MARGIN}", Demand(loss, Side.BELOW, MARGIN)),
        Criterion.asking(f"{control} less listed, {above}, upper end below {MARGIN}", Demand(apart, Side.BELOW, MARGIN)),
    )
    return supports, refutes


def _evidence(table: ModesTable) -> tuple[Evidence, ...]:
    rows = [Evidence(table.metric, table.clean, {"condition": CLEAN})]
    for row in table.rows:
        at = {"mode": str(row.mode), "condition": row.condition}
        note = f"draws {min(row.draws):.2f} to {max(row.draws):.2f}" if len(row.draws) > 1 else ""
        rows += [Evidence(table.metric, row.quality, at, note=note), Evidence(LOSS, row.loss, at, null=0.0)]
        rows += [Evidence(ABOVE, row.above_listed, at, null=0.0)] if row.above_listed is not None else []
    return tuple(rows)


def _listed(lists: HeadLists) -> dict[str, object]:
    shared = max(len(heads & lists.listed) for heads in (*lists.random, *lists.layered))
    fewest = min(len(heads) for heads in lists.layered)
    return {
        "listed": str(lists.listed),
        "most_heads_that_a_draw_shares": shared,
        "shared_if_not_excluded": lists.leak.expected,
        "fewest_heads_of_a_layer_matched_draw": fewest,
    }
