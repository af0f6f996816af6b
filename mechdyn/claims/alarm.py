"""Silent heads as an alarm: where an answer goes wrong, do the heads that copy stay silent, beyond what the model's own doubt tells?

The criterion, fixed on 2026-11-21 before anything was run. At a step that emits a content token claimed from the context
(`mechdyn.studies.claimed_tokens`) two measures say how much retrieval stands behind it, both over the 20 first heads of a static ranking,
weighted by their mean score in a disjoint detection set: *labelled*, by the step's retrieval scores, which know the needle; and
*deployable*, by each head's attention on positions of the context that hold the emitted token, wherever they are
(`mechdyn.traces.backing`). The first wrong token of an answer is held against right tokens; what follows a wrong token is left out.

Logistic models are fitted on four fifths of the samples and judged on the rest, five folds (samples of one text in one fold). Both know
the entropy and the largest probability of the step's distribution; the second also knows the measure. The gain is the mean held-out
log-loss of the first less that of the second, in nats a token, with a 95 % interval by sample. For the deployable measure:

- supported if the gain has its lower end above 0;
- refuted if it has its upper end below 1 % of the first model's log-loss;
- inconclusive between, and with fewer than 200 wrong tokens.

The labelled measure's gain stands beside it and decides nothing.

Simulation showed one mend to be needed before any model was judged: where wrong tokens are those that begin a value, and retrieval grows
along it, the gain over entropy and max p alone is large though retrieval tells nothing of its own (docs/verdicts/alarm.md). So both models
also know the token's kind and its place in the value; the gain as first written stands beside it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mechdyn.claims.claim import claim
from mechdyn.evidence import Criteria, Criterion, Demand, Evidence, Outcome, Side, Verdict, outcome
from mechdyn.paper.parts import PaperPart
from mechdyn.plans import NO_TRACES, Plan, Request, chosen_preset
from mechdyn.stats.log_loss_gain import N_FOLDS, Gain
from mechdyn.stats.stratified import Stratified
from mechdyn.studies.alarm import DEPLOYABLE, ENTROPY, LABELLED, MEASURES, AlarmRows, WeightedHeads, alarm_rows, areas, gain_of
from mechdyn.studies.alarm_data import (
    ENOUGH,
    PRESETS,
    ROUNDS,
    accuracies,
    by_source,
    detection_units,
    hard_length,
    n_wrong,
    round_units,
)
from mechdyn.studies.conditions import DETECTION_ROLE
from mechdyn.tasks.task import is_correct
from mechdyn.traces.trace import Trace

MARGIN = 0.01
"""The part of the first model's log-loss below which a gain is as good as none."""
AUROC, AUPRC, GAIN, LOSS, ACCURACY = "AUROC", "AUPRC", "held-out gain (nats a token)", "held-out log-loss (nats a token)", "accuracy"
NATS = "nats a token"
WRONG_IN, FEW = "wrong in", 10
"""The key of `at` that names a source whose wrong tokens alone are counted, and how many it needs for that."""
PLACES, DOUBT = "entropy, max p, kind and place", "entropy and max p"
"""What both models know."""
HEADS = "heads"
"""The fact that names the heads and their weights (`WeightedHeads.as_json`)."""
SCORE = "copy_paste"
"""What heads are found by unless another score is asked for: the deployable measure is this score with the context for its needle."""


@claim
@dataclass(frozen=True)
class Alarm:
    """The claim, its plan and its judge."""

    name: str = "alarm"
    paper: str = ""
    parts: tuple[PaperPart, ...] = ()
    takes_heads: bool = True

    def plan(self, request: Request, traces: Mapping[str, Sequence[Trace]] = NO_TRACES) -> Plan:
        """Roles: `detection` finds heads and a length at which the model errs; then rounds of each source until 200 answers are wrong."""
        preset, n_rounds = chosen_preset(PRESETS, request), ROUNDS[request.preset]
        scored = _scored(request)
        roles = {DETECTION_ROLE: detection_units(scored, preset, n_rounds)}
        if DETECTION_ROLE not in traces:
            return Plan(roles)
        heads = found_heads(scored, traces[DETECTION_ROLE])
        if heads is None:
            return Plan(roles)
        hard = hard_length(traces[DETECTION_ROLE], preset.lengths)
        for number in range(1, n_rounds + 1):
            asked = round_units(scored, preset, n_rounds, number, heads, hard)
            done = {role: traces[role] for role in roles if role in traces}
            if not asked or n_wrong(done) >= ENOUGH:
                break
            roles |= asked
            if any(role not in traces for role in asked):
                break
        return Plan(roles)

    def judge(self, request: Request, traces: Mapping[str, Sequence[Trace]]) -> Verdict:
        """Evidence is the gain of each measure, AUROC and AUPRC of measures and baselines, and accuracy by source."""
        model = str(request.model["name"])
        heads = found_heads(_scored(request), traces[DETECTION_ROLE])
        facts: dict[str, Any] = {
            "detection_samples": len(traces[DETECTION_ROLE]),
            "detection_correct": len(_correct(traces[DETECTION_ROLE])),
        }
        if heads is None:
            reason = "no detection sample was answered correctly by heads that retrieve, so there are no static heads to listen to"
            return Verdict(model, self.name, Outcome.INCONCLUSIVE, notes=(reason,), facts=facts)
        answers = by_source(traces, request.task)
        rows = alarm_rows(answers, heads)
        facts |= {HEADS: heads.as_json(), "samples": sum(map(len, answers.values())), **_counts(rows)}
        accuracy = tuple(Evidence(ACCURACY, interval, {"of": name}) for name, interval in accuracies(answers).items())
        if not rows.n_wrong or len(set(rows.clusters)) < N_FOLDS:
            notes = (
                f"{rows.n_wrong} answers have a first wrong token in {len(rows.clusters)} samples with content tokens",
                *_left_out(rows),
            )
            return Verdict(model, self.name, Outcome.INCONCLUSIVE, accuracy, notes=notes, facts=facts)
        gains = {name: gain_of(rows, name, seed=request.seed) for name in MEASURES}
        supports, refutes = criteria(rows.n_wrong, gains[DEPLOYABLE])
        return Verdict(
            model=model,
            claim=self.name,
            outcome=outcome(supports, refutes),
            evidence=(*gain_evidence(rows, gains, seed=request.seed), *area_evidence(rows, seed=request.seed), *accuracy),
            supports=supports,
            refutes=refutes,
            notes=(*_few(rows), *_left_out(rows)),
            facts=facts,
        )


def found_heads(request: Request, detection: Sequence[Trace]) -> WeightedHeads | None:
    """The heads to listen to; None where no detection sample is right, or no head retrieves."""
    ranking = request.static_list(_correct(detection))
    return WeightedHeads.of(ranking) if ranking is not None and ranking.scores[0] > 0 else None


def criteria(n_errors: int, found: Gain) -> tuple[Criteria, Criteria]:
    """Those of the module's docstring, that support and that refute; none with too few wrong tokens."""
    if n_errors < ENOUGH:
        return (), ()
    bound = MARGIN * found.without.estimate
    gain = Evidence(GAIN, found.gain, {"of": DEPLOYABLE, "over": PLACES}, 0.0)
    above, small = Demand(gain, Side.ABOVE, 0.0, unit=NATS), Demand(gain, Side.BELOW, bound, unit=NATS)
    text = f"the deployable measure gains {found.gain:.4f} nats a token over {PLACES}"
    return (
        (Criterion.asking(f"{text}, lower end above 0", above),),
        (Criterion.asking(f"{text}, upper end below {bound:.4f}, {MARGIN:.0%} of their log-loss", small),),
    )


def gain_evidence(rows: AlarmRows, gains: Mapping[str, Gain], *, seed: int = 0) -> tuple[Evidence, ...]:
    """The loss of what is known, and the gain of each measure; both where kind and place are not known; the deployable gain by source."""
    plain = {name: gain_of(rows, name, places=False, seed=seed) for name in MEASURES}
    found, by_source = [], []
    for source in _sources(rows):
        gain = gain_of(rows.of(source), DEPLOYABLE, seed=seed).gain
        by_source.append(Evidence(GAIN, gain, {"of": DEPLOYABLE, "over": PLACES, WRONG_IN: source}, 0.0))
    for known, each in ((PLACES, gains), (DOUBT, plain)):
        found.append(Evidence(LOSS, each[DEPLOYABLE].without, {"known": known}))
        found += [Evidence(GAIN, gain.gain, {"of": name, "over": known}, 0.0) for name, gain in each.items()]
    return (*found, *by_source)


def area_evidence(rows: AlarmRows, *, seed: int = 0) -> tuple[Evidence, ...]:
    """AUROC and AUPRC within token kind and place, of everything and of each source's wrong tokens against the right tokens of all."""
    table, found = areas(rows, seed=seed)
    evidence = [row for name, pair in found.items() for row in _areas(name, pair, table.base_rate, {})]
    for source in _sources(rows):
        table, found = areas(replace(rows.of(source), hidden=None), seed=seed)
        told = {name: found[name] for name in (DEPLOYABLE, LABELLED, ENTROPY)}
        evidence += [row for name, pair in told.items() for row in _areas(name, pair, table.base_rate, {WRONG_IN: source})]
    return tuple(evidence)


def _sources(rows: AlarmRows) -> list[str]:
    """Where there are several, those with enough wrong tokens to be told by themselves."""
    counts = Counter(rows.source[rows.wrong].tolist())
    return [source for source, n in counts.items() if n >= FEW] if len(counts) > 1 else []


def _areas(name: str, pair: Sequence[Any], base_rate: float, at: Mapping[str, str]) -> list[Evidence]:
    place = {"of": name, **at}
    return [Evidence(AUROC, pair[0], place, 0.5), Evidence(AUPRC, pair[1], place, base_rate)]


def _scored(request: Request) -> Request:
    return replace(request, score=request.score or SCORE)


def _correct(traces: Sequence[Trace]) -> list[Trace]:
    return [trace for trace in traces if trace.n_steps and trace.stopped != "error" and is_correct(trace.task, trace.text, trace.answer)]


def _counts(rows: AlarmRows) -> dict[str, Any]:
    wrong = {
        f"wrong_in_{source.replace(' ', '_')}": int((rows.wrong & (rows.source == source)).sum()) for source in dict.fromkeys(rows.source)
    }
    compared = Stratified.of(rows.wrong, rows.strata, rows.sample, rows.clusters).n_positive
    counts = {"content_tokens": len(rows), "wrong_tokens": rows.n_wrong, "wrong_tokens_compared": compared}
    return {**counts, **wrong, "left_out": dict(rows.left_out)}


def _few(rows: AlarmRows) -> tuple[str, ...]:
    if rows.n_wrong >= ENOUGH:
        return ()
    return (
        f"{rows.n_wrong} answers have a first wrong token and {ENOUGH} are needed; ask for more samples with --runs, or for harder ones",
    )


def _left_out(rows: AlarmRows) -> tuple[str, ...]:
    """Why answers have no say, or no wrong token where one is due."""
    return tuple(f"{n} answers without a wrong token: {reason}" for reason, n in rows.left_out.items())
