"""Wu et al. 2024, chain of thought: answers with a rationale suffer more than direct ones where retrieval heads are masked (section 4).

Here: two-hop questions about a context (`--task world`), each asked in both styles, with a rationale and for the answer alone. The heads
are listed on needles, as in `wu2024.causal`: the first 5 % of them, at most 30, found by copy-paste (or by `--score`). They are switched
off by uniform ablation at scope decode, their "masking". The *fall* of a style is its F1 with every head on less that with heads off,
paired by question. A question keeps its facts in both styles, and its distractors as far as instructions of different lengths leave room.
Ten random lists, drawn as in `wu2024.causal`, are the control: any damage may add up over a longer answer.

Criteria, fixed before any result was seen:

- supported if the fall with a rationale less the direct one has its lower end above 0, and that difference of listed heads less that of
  random ones has its lower end above 0;
- refuted if the fall with a rationale less the direct one has its upper end below 0.05.

A limit that the first result showed, and that a verdict notes where it applies: direct answers that fall to nothing cannot fall further,
and the difference of the falls is then that of the clean F1. The criteria were not moved for it. *Relative* criteria (2026-11-22) stand
beside them, fixed before they were run: what a style *keeps* is its mean F1 with heads off over its mean clean F1, and

- supported if direct keeps more than the rationale, and by more than under random heads, lower ends above 0;
- refuted if the difference with listed heads off has its upper end below 0.05;
- inconclusive between, and where what direct keeps has its upper end below 0.05: both styles at the floor cannot be told apart.

Inconclusive between; where a style's clean F1 has not its lower end above 0.2, since what is not answered cannot fall; and with fewer than
20 questions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from mechdyn.claims.claim import claim
from mechdyn.claims.wu2024_causal import PUBLISHED, head_lists
from mechdyn.errors import InputError
from mechdyn.evidence import MIN_RETRIEVING_SAMPLES, Criteria, Criterion, Demand, Evidence, Outcome, Side, Verdict, outcome
from mechdyn.paper.parts import PaperPart
from mechdyn.plans import DETECTION, NO_TRACES, Plan, Request, chosen_preset
from mechdyn.stats.interval import Interval
from mechdyn.stats.labels import Clusters
from mechdyn.stats.lists import mean_over_lists
from mechdyn.stats.resampling import DIFFERENCE, UNIT, Weights, bootstrap_many
from mechdyn.studies.conditions import CLEAN, DETECTION_ROLE, LISTED, PRESETS, samples
from mechdyn.studies.modes import RANDOM, condition_values, modes_plan, qualities
from mechdyn.studies.random_lists import DRAWS
from mechdyn.tasks.questions import INSTRUCTIONS
from mechdyn.tasks.task import make_task
from mechdyn.traces.trace import Trace

RATIONALE, DIRECT = INSTRUCTIONS
LEAST, MARGIN = 0.2, 0.05
FALL, MORE = "fall", "rationale's fall less direct's"
BEYOND = f"{MORE}, listed less random"
RELATIVE = "relative criteria (2026-11-22)"
KEPT, KEEPS_MORE = "share of the clean F1 that is kept", "what direct keeps less what the rationale keeps"
KEEPS_BEYOND = f"{KEEPS_MORE}, listed less random"
Values = Float[np.ndarray, "list sample"]


@claim
@dataclass(frozen=True)
class WuReasoning:
    """The claim, its plan and its judge."""

    name: str = "wu2024.reasoning"
    paper: str = ""
    parts: tuple[PaperPart, ...] = ()

    def plan(self, request: Request, traces: Mapping[str, Sequence[Trace]] = NO_TRACES) -> Plan:
        """Roles: `detection` lists heads on needles; then for each style the clean questions, and each list off."""
        styled = {style: in_style(request, style) for style in INSTRUCTIONS}
        preset, needles = chosen_preset(PRESETS, request), on_needles(request)
        roles = {DETECTION_ROLE: samples(needles, preset, DETECTION)}
        lists, _ = head_lists(request, traces.get(DETECTION_ROLE, ()))
        if lists is None:
            return Plan(roles)
        how = {PUBLISHED: {"method": PUBLISHED.method, "scope": PUBLISHED.scope}}
        for style, each in styled.items():
            planned = modes_plan(each, preset, replace(lists, layered=()), how).roles
            roles |= {f"{style}: {role}": units for role, units in planned.items()}
        return Plan(roles)

    def judge(self, request: Request, traces: Mapping[str, Sequence[Trace]]) -> Verdict:
        """Evidence is each style's F1 and fall, and the difference of the falls."""
        model = str(request.model["name"])
        lists, why = head_lists(request, traces[DETECTION_ROLE])
        if lists is None:
            return Verdict(model, self.name, Outcome.INCONCLUSIVE, notes=(why,))
        kept, clusters, n_failed = qualities({role: found for role, found in traces.items() if role != DETECTION_ROLE})
        mean = partial(mean_over_lists, seed=request.seed, clusters=clusters)
        values = {style: _of_style(kept, style) for style in INSTRUCTIONS}
        clean = {style: mean(each[CLEAN]) for style, each in values.items()}
        falls = {style: {name: each[CLEAN] - each[name] for name in (LISTED, RANDOM)} for style, each in values.items()}
        more = {name: falls[RATIONALE][name] - falls[DIRECT][name] for name in (LISTED, RANDOM)}
        listed, beyond = mean(more[LISTED]), mean(more[LISTED] - more[RANDOM])
        why_not, left = too_little(clean), mean(values[DIRECT][LISTED])
        supports, refutes = ((), ()) if why_not else criteria(listed, beyond)
        at = [(style, name) for style in INSTRUCTIONS for name in (LISTED, RANDOM)]
        evidence = (
            *(Evidence("f1", each, {"style": style, "condition": CLEAN}) for style, each in clean.items()),
            *(Evidence("f1", mean(values[style][name]), {"style": style, "condition": name}) for style, name in at),
            *(Evidence(FALL, mean(falls[style][name]), {"style": style, "condition": name}, 0.0) for style, name in at),
            *(Evidence(MORE, mean(row), {"condition": name}, 0.0) for name, row in more.items()),
            Evidence(BEYOND, beyond, null=0.0),
        )
        facts = {"questions": listed.n, "failed_questions": n_failed, "listed": str(lists.listed), "draws": DRAWS}
        notes, beside = (*why_not, *at_the_floor(left)), (relative_verdict(model, values, why_not, request.seed, clusters),)
        return Verdict(model, self.name, outcome(supports, refutes), evidence, supports, refutes, notes, facts, beside=beside)


def in_style(request: Request, style: str) -> Request:
    """The same questions asked in a style, heads found as on needles.

    Raises:
        InputError: a task without styles.
    """
    task: Any = request.task
    if not hasattr(task, "style"):
        raise InputError(
            f"this claim asks questions with a rationale and without, and task {request.task.name} has no styles; take --task world"
        )
    return replace(request, task=replace(task, style=style), score=on_needles(request).score)


def on_needles(request: Request) -> Request:
    """The request for the needles that list the heads; `--score` and `--threshold` are theirs."""
    task = make_task("niah")
    return replace(request, task=task, score=request.score or task.score, max_new_tokens=None)


def too_little(clean: Mapping[str, Interval]) -> tuple[str, ...]:
    """Why no criteria are put: styles that are not answered well enough, or too few questions."""
    low = [
        f"the clean F1 of style {style}, {each}, has not its lower end above {LEAST}"
        for style, each in clean.items()
        if not each.low > LEAST
    ]
    n = next(iter(clean.values())).n
    return (*low, *([f"{n} questions; {MIN_RETRIEVING_SAMPLES} are needed"] if n < MIN_RETRIEVING_SAMPLES else []))


def at_the_floor(left: Interval) -> tuple[str, ...]:
    """A note where nothing is left of direct answers."""
    if not left.estimate < MARGIN:
        return ()
    return (f"direct answers have fallen to {left} and could not fall further: the difference of the falls is that of the clean F1",)


def criteria(listed: Interval, beyond: Interval) -> tuple[Criteria, Criteria]:
    """Those of the module's docstring, that support and that refute."""
    more, beyond_random = Evidence(MORE, listed, {"condition": LISTED}, 0.0), Evidence(BEYOND, beyond, null=0.0)
    supports = (
        Criterion.asking(f"{MORE}, {listed}, lower end above 0", Demand(more, Side.ABOVE, 0.0)),
        Criterion.asking(f"the same less that of random heads, {beyond}, lower end above 0", Demand(beyond_random, Side.ABOVE, 0.0)),
    )
    return supports, (Criterion.asking(f"{MORE}, {listed}, upper end below {MARGIN}", Demand(more, Side.BELOW, MARGIN)),)


def relative_verdict(
    model: str, values: Mapping[str, Mapping[str, Values]], why_not: tuple[str, ...], seed: int, clusters: Clusters | None = None
) -> Verdict:
    """The verdict of the relative criteria; `why_not` is why no criteria are put at all."""
    if why_not:
        return Verdict(model, WuReasoning.name, Outcome.INCONCLUSIVE, notes=why_not, named=RELATIVE)
    shares = {style: _kept(each[LISTED], each[CLEAN]) for style, each in values.items()}
    random = {style: _kept(each[RANDOM], each[CLEAN]) for style, each in values.items()}

    def statistic(weights: Weights) -> Float[np.ndarray, "resample 4"]:
        by_style = {style: share(weights) for style, share in shares.items()}
        more = by_style[DIRECT] - by_style[RATIONALE]
        return np.column_stack([*by_style.values(), more, more - random[DIRECT](weights) + random[RATIONALE](weights)])

    *kept, more, beyond = bootstrap_many(
        statistic, values[DIRECT][CLEAN].shape[1], clusters=clusters, limits=[UNIT, UNIT, DIFFERENCE, DIFFERENCE], seed=seed
    )
    of_style = {style: Evidence(KEPT, each, {"style": style, "condition": LISTED}) for style, each in zip(shares, kept, strict=True)}
    of_listed, beyond_random = Evidence(KEEPS_MORE, more, {"condition": LISTED}, 0.0), Evidence(KEEPS_BEYOND, beyond, null=0.0)
    evidence = (*of_style.values(), of_listed, beyond_random)
    if of_style[DIRECT].interval.high < MARGIN:
        floor = f"direct answers keep {of_style[DIRECT].interval}: both styles are at the floor"
        return Verdict(model, WuReasoning.name, Outcome.INCONCLUSIVE, evidence, notes=(floor,), named=RELATIVE)
    supports = (
        Criterion.asking(f"{KEEPS_MORE}, {more}, lower end above 0", Demand(of_listed, Side.ABOVE, 0.0)),
        Criterion.asking(f"the same less that under random heads, {beyond}, lower end above 0", Demand(beyond_random, Side.ABOVE, 0.0)),
    )
    refutes = (Criterion.asking(f"{KEEPS_MORE}, {more}, upper end below {MARGIN}", Demand(of_listed, Side.BELOW, MARGIN)),)
    return Verdict(model, WuReasoning.name, outcome(supports, refutes), evidence, supports, refutes, named=RELATIVE)


def _kept(off: Values, clean: Float[np.ndarray, "1 sample"]) -> Callable[[Weights], Float[np.ndarray, " resample"]]:
    """Mean F1 with heads off, over lists, as a share of the mean clean F1; NaN where a resample has no right clean answer."""
    left, whole = off.mean(axis=0), clean.mean(axis=0)

    def share(weights: Weights) -> Float[np.ndarray, " resample"]:
        total = weights @ whole
        return np.divide(weights @ left, total, out=np.full(total.shape, np.nan), where=total > 0)

    return share


def _of_style(kept: Mapping[str, Float[np.ndarray, " sample"]], style: str) -> dict[str, Values]:
    """The clean answers of a style, and those of each condition, a row a list."""
    own = {role.removeprefix(f"{style}: "): row for role, row in kept.items() if role.startswith(f"{style}: ")}
    return {CLEAN: own[CLEAN][None], **{name: condition_values(own, PUBLISHED, name, DRAWS) for name in (LISTED, RANDOM)}}
