"""Caches that follow the step: does a key-value budget that is dealt out anew at each step keep more than a static one of the same total?

The criteria, fixed on 2026-11-22 before anything was run (docs/kv_budgets.md). On samples that the model answers correctly with its whole
cache, its own answer is fed to it under each budget. A budget's loss on a sample is the mean over the answer's tokens but the first of
log p(token | whole cache) − log p(token | budget), in nats; A(budget) is its mean over caches of 2, 5, 10 and 20 % of the prompt,
reversible, a budget a query head, β = 1.5, window 8, kernel 7. Differences are paired by sample.

- Supported if A(static) − A(oracle) and A(sample) − A(oracle) have their lower ends above 0: the step's own scores beat the list, and not
  only because they are this sample's.
- Refuted if A(static) − A(oracle) has its upper end below 5 % of A(static).
- Inconclusive between, with fewer than 20 such samples, and where A(static) does not have its lower end above 0.01 nats a token: then there
  is nothing to gain.

Beside it, by the same rules, what can be deployed. *Deployable, persistence*: supported if A(static) − A(echo) has its lower end above 0,
refuted if its upper end is below 5 % of A(static). *Deployable, forecast*: supported if A(static) − A(forecast) and A(echo) − A(forecast)
have their lower ends above 0, refuted if the first has its upper end below 5 % of A(static).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from mechdyn.claims.claim import claim
from mechdyn.evidence import LESS, MIN_RETRIEVING_SAMPLES, Criteria, Criterion, Demand, Evidence, Outcome, Side, Verdict, outcome
from mechdyn.paper.parts import PaperPart
from mechdyn.plans import NO_TRACES, Plan, Request, chosen_preset
from mechdyn.stats.interval import Interval
from mechdyn.stats.tails import p_above, p_below
from mechdyn.studies.conditions import DETECTION_ROLE, PRESETS
from mechdyn.studies.kv_budgets import BUDGETS_ROLE, SCORE, CacheLosses, Losses, budgets_plan, found_forecast, found_list, usable
from mechdyn.traces.budgets import ECHO, FORECAST, ORACLE, PERSISTENCE, SAMPLE, STATIC
from mechdyn.traces.trace import Trace

NAMED = "criteria of 2026-11-22: the step's own scores"
DEPLOYED, FORECAST_NAMED = "deployable, persistence", "deployable, forecast"
MARGIN, LEAST = 0.05, 0.01
"""The part of what a static budget loses under which a gain is as good as none; and what it must lose, in nats a token."""
NATS = "nats a token"
LOSS, AREA = "loss (nats a token)", "loss, mean of 2 to 20 % (nats a token)"
KEPT, HELD, BACK = "answers that stay the same", "keys and values read at a step", "keys and values that come back at a step"


@claim
@dataclass(frozen=True)
class StepBudgets:
    """The claim, its plan and its judge."""

    named: ClassVar[str] = NAMED
    takes_heads: ClassVar[bool] = True
    name: str = "step_budgets"
    paper: str = ""
    parts: tuple[PaperPart, ...] = ()

    @property
    def margins(self) -> Mapping[str, float]:
        return {"gain_over_static_loss": MARGIN, "least_static_loss": LEAST}

    def plan(self, request: Request, traces: Mapping[str, Sequence[Trace]] = NO_TRACES) -> Plan:
        """Roles: `detection` gives the static list and the forecast; then `budgets`, every cache along other samples' answers."""
        scored = _scored(request)
        return budgets_plan(scored, chosen_preset(PRESETS, scored), traces)

    def judge(self, request: Request, traces: Mapping[str, Sequence[Trace]]) -> Verdict:
        """Evidence is each cache's loss, kept answers and size, each budget's area, and the paired gains."""
        model, detection = str(request.model["name"]), traces[DETECTION_ROLE]
        facts: dict[str, Any] = {"detection_samples": len(detection), "detection_correct": sum(map(usable, detection))}
        if found_list(_scored(request), detection) is None or BUDGETS_ROLE not in traces:
            reason = "no detection sample was answered correctly by heads that score, so there is no static list to deal a budget out by"
            return Verdict(model, self.name, Outcome.INCONCLUSIVE, notes=(reason,), facts=facts, named=NAMED)
        _, without = found_forecast(detection, request.seed)
        found = CacheLosses(traces[BUDGETS_ROLE], request.seed)
        facts |= {"samples": len(traces[BUDGETS_ROLE]), "judged_samples": len(found), **_sizes(found)}
        if len(found) < MIN_RETRIEVING_SAMPLES:
            few = f"{len(found)} samples are answered correctly with the whole cache and {MIN_RETRIEVING_SAMPLES} are needed; see --runs"
            notes = (few, *([without] if without else []))
            return Verdict(model, self.name, Outcome.INCONCLUSIVE, evidence_of(found), notes=notes, facts=facts, named=NAMED)
        supports, refutes = criteria(found, {STATIC: ORACLE, SAMPLE: ORACLE})
        beside = tuple(
            Verdict(model, self.name, outcome(*each), supports=each[0], refutes=each[1], named=name) for name, each in _deployable(found)
        )
        verdict = Verdict(model, self.name, outcome(supports, refutes), evidence_of(found), supports, refutes, facts=facts, named=NAMED)
        return replace(verdict, beside=beside, notes=(without,) if without else ())


def criteria(found: Losses, pairs: Mapping[str, str]) -> tuple[Criteria, Criteria]:
    """What supports and what refutes that the second of each pair loses less than the first; the first pair is against the static list.

    Where nothing is lost there is nothing to gain, which neither supports nor refutes.
    """
    static = _area(found, STATIC)
    room = Criterion.asking(
        f"a static budget loses {static.interval} nats a token, lower end above {LEAST}", Demand(static, Side.ABOVE, LEAST, unit=NATS)
    )
    gains = [_gain(found, worse, better) for worse, better in pairs.items()]
    supports = tuple(
        Criterion.asking(f"{_said(gain)}, lower end above 0", Demand(gain, Side.ABOVE, 0.0, unit=NATS), p=p_above(gain.interval, 0.0))
        for gain in gains
    )
    bound = MARGIN * static.interval.estimate
    text = f"{_said(gains[0])}, upper end below {bound:.3f}, {MARGIN:.0%} of A({STATIC})"
    small = Demand(gains[0], Side.BELOW, bound, unit=NATS)
    refutes = Criterion.asking(text, small, p=p_below(gains[0].interval, bound))
    return (room, *supports), (refutes if room.met else replace(refutes, met=None),)


def _area(found: Losses, source: str) -> Evidence:
    return Evidence(AREA, found.mean(found.area(source)), {"budget": source})


def _gain(found: Losses, worse: str, better: str) -> Evidence:
    return Evidence(AREA, found.gain(worse, better), {"budget": worse, LESS: better}, 0.0)


def _said(gain: Evidence) -> str:
    return f"A({gain.at['budget']}) − A({gain.at[LESS]}), {gain.interval}"


def _deployable(found: CacheLosses) -> list[tuple[str, tuple[Criteria, Criteria]]]:
    judged = [(DEPLOYED, criteria(found, {STATIC: ECHO}))]
    if FORECAST in {cache.source for cache in found.caches}:
        judged.append((FORECAST_NAMED, criteria(found, {STATIC: FORECAST, ECHO: FORECAST})))
    return judged


def evidence_of(found: CacheLosses) -> tuple[Evidence, ...]:
    """Areas and gains first, then each cache; nothing of no sample."""
    if not len(found):
        return ()
    sources = list(dict.fromkeys(cache.source for cache in found.caches))
    areas = [_area(found, source) for source in sources]
    better = [source for source in (ORACLE, PERSISTENCE, ECHO, FORECAST) if source in sources]
    pairs = [(worse, source) for source in better for worse in (STATIC, SAMPLE)] + [(ECHO, FORECAST)] * (FORECAST in sources)
    gains = [_gain(found, worse, source) for worse, source in pairs]
    each = [
        Evidence(measure, interval, point.cache.at)
        for point in found.points()
        for measure, interval in _measures(point.loss, point.kept, point.held, point.back)
    ]
    return (*areas, *gains, *each)


def _measures(loss: Interval, kept: Interval, held: Interval, back: Interval) -> list[tuple[str, Interval]]:
    return [(LOSS, loss), (KEPT, kept), (HELD, held), *([(BACK, back)] if back.estimate > 0 else [])]


def _sizes(found: CacheLosses) -> dict[str, Any]:
    """Bytes of the whole cache of a prompt, mean over samples."""
    whole = [effects.bytes_whole for effects in found.effects]
    return {"whole_cache_bytes": round(sum(whole) / len(whole))} if whole else {}


def _scored(request: Request) -> Request:
    return replace(request, score=request.score or SCORE)
