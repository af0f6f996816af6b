"""How a verdict on the alarm is shown: gains, how well each reading tells wrong from right, and two answers in colour."""

from collections.abc import Mapping, Sequence

from mechdyn.claims.alarm import ACCURACY, AUPRC, AUROC, GAIN, HEADS, LOSS, WRONG_IN
from mechdyn.evidence import Evidence, Table, Verdict
from mechdyn.reports.tables import interval_text
from mechdyn.studies.alarm import DEPLOYABLE, WeightedHeads, readings_of
from mechdyn.studies.claimed_tokens import ClaimReading, claimed_tokens
from mechdyn.traces.trace import Trace
from mechdyn.views.alarm import alarm
from mechdyn.views.looks import View, in_both_looks

_NUMBERS = ("value (95 % by sample)", "n")


def alarm_tables(verdict: Verdict) -> list[Table]:
    """Gains over doubt; AUROC and AUPRC within token kind and place, a line a reading; accuracy by source."""
    of_loss = [evidence for evidence in verdict.evidence if evidence.measure in (LOSS, GAIN)]
    of_accuracy = [evidence for evidence in verdict.evidence if evidence.measure == ACCURACY]
    title = f"{verdict.claim} on {verdict.model}"
    tables = [_listed(f"{title}: what retrieval tells beyond doubt", of_loss, "nats a token, held out", digits=4)] if of_loss else []
    return tables + _areas(verdict, title) + [_listed(f"{title}: right answers", of_accuracy, "accuracy", digits=3)] * bool(of_accuracy)


def _listed(title: str, found: Sequence[Evidence], what: str, digits: int) -> Table:
    """A line for each piece of evidence."""
    rows = tuple((_line(each), f"{each.interval:.{digits}f}", str(each.interval.n)) for each in found)
    return Table(title, (what, *_NUMBERS), rows, numbers=_NUMBERS)


def _line(evidence: Evidence) -> str:
    """`log-loss, knowing entropy and max p`, `gain of deployable retrieval over …`, or what accuracy is of."""
    if evidence.measure == LOSS:
        return f"log-loss, knowing {evidence.at['known']}"
    if evidence.measure == GAIN:
        return f"gain of {evidence.at['of']} over {evidence.at['over']}{_of_source(evidence)}"
    return str(evidence.at["of"])


def _of_source(evidence: Evidence) -> str:
    """Whose wrong tokens are counted, where it is not all."""
    return f", wrong in {evidence.at[WRONG_IN]}" if WRONG_IN in evidence.at else ""


def _areas(verdict: Verdict, title: str) -> list[Table]:
    """A line for each reading, over all wrong tokens and then over those of each source."""
    found = [evidence for evidence in verdict.evidence if evidence.measure == AUROC]
    rows = []
    for evidence in found:
        precision = verdict.find(AUPRC, **evidence.at)
        line = f"{evidence.at['of']}{_of_source(evidence)}"
        null = f"{precision.null:.3f}" if precision and precision.null is not None else ""
        rows.append((line, interval_text(evidence.interval), interval_text(precision.interval) if precision else "", null))
    columns = ("first wrong token by", AUROC, AUPRC, "no score at all")
    caption = "Compared within token kind and place in the value only. AUROC of no score at all is 0.5."
    return [Table(f"{title}: telling wrong from right tokens", columns, tuple(rows), caption, numbers=columns[1:])] if rows else []


def alarm_answers(verdict: Verdict, traces: Mapping[str, Sequence[Trace]]) -> dict[str, View]:
    """The first answer that is right, and of those that go wrong the one with the most right tokens before, in colour."""
    if not isinstance(verdict.facts.get(HEADS), Mapping):
        return {}
    heads = WeightedHeads.from_json(verdict.facts[HEADS])
    answers = (trace for row in traces.values() for trace in row if trace.backing is not None and trace.n_steps)
    read = [(trace, claimed_tokens(trace)) for trace in answers]
    right = next((trace for trace, found in read if _is_right(found)), None)
    wrong = max((pair for pair in read if pair[1].wrong_step is not None), key=lambda pair: len(pair[1].tokens), default=(None,))[0]
    chosen = {"An answer that is right": right, "An answer that goes wrong": wrong}
    shown = {name: trace for name, trace in chosen.items() if trace is not None}
    most = max((float(readings_of(trace, heads)[DEPLOYABLE].max()) for trace in shown.values()), default=0.0)
    return in_both_looks(lambda dark: {name: alarm(trace, heads, most=most or None, dark=dark) for name, trace in shown.items()})


def _is_right(reading: ClaimReading) -> bool:
    return bool(reading.tokens) and reading.wrong_step is None and not reading.left_out
