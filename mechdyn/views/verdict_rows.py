"""What a verdict's figure shows, as data: its criteria under what they decide, what they compare, and what the paper reports."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mechdyn.evidence import LESS, Criterion, Demand, Evidence, Verdict

SUPPORT, REFUTE = "to support, all of", "to refute, any of"
COMPARED, BESIDE_PAPER = "what is compared", "beside the paper"


@dataclass(frozen=True)
class VerdictRow:
    """One number: what a criterion asks of it, if one does, and whether the criterion as a whole is met."""

    group: str
    of: Evidence
    unit: str
    asked: Demand | None = None
    criterion: Criterion | None = None


def verdict_rows(verdict: Verdict) -> tuple[VerdictRow, ...]:
    """A row for each number that a criterion asks something of, then for the two numbers of each difference among them.

    Last come the numbers that the paper reports too and that no row has yet.
    """
    rows = [*_asked(SUPPORT, verdict.supports), *_asked(REFUTE, verdict.refutes)]
    for row in tuple(rows):
        rows += [VerdictRow(COMPARED, term, row.unit) for term in _terms(verdict, row) if not _has(rows, term)]
    rows += [VerdictRow(BESIDE_PAPER, evidence, "") for evidence in verdict.evidence if evidence.paper and not _has(rows, evidence)]
    return tuple(rows)


def number_of(verdict: Verdict, like: Evidence) -> Evidence | None:
    """Another verdict's number of the same measure at the same place: in its criteria, else in its evidence; None where it has none."""
    asked = (each.of for criterion in (*verdict.supports, *verdict.refutes) for each in criterion.asked)
    return next((found for found in (*asked, *verdict.evidence) if _same(found, like)), None)


def _asked(group: str, criteria: Sequence[Criterion]) -> list[VerdictRow]:
    return [VerdictRow(group, asked.of, asked.unit, asked, criterion) for criterion in criteria for asked in criterion.asked]


def _terms(verdict: Verdict, row: VerdictRow) -> Iterable[Evidence]:
    """What a difference is of: the same measure without what is subtracted, and what is subtracted in the place of one of its keys.

    A number that is held against another number is compared with that.
    """
    if row.asked is not None and isinstance(row.asked.bound, Evidence):
        yield row.asked.bound
    less = row.of.at.get(LESS)
    if less is None:
        return
    place = {key: value for key, value in row.of.at.items() if key != LESS}
    places = [place, *({**place, key: less} for key in place)]
    for evidence in verdict.evidence:
        if (evidence.measure == row.of.measure and evidence.at in places) or (evidence.measure == less and not evidence.at):
            yield evidence


def _has(rows: Sequence[VerdictRow], evidence: Evidence) -> bool:
    return any(_same(row.of, evidence) for row in rows)


def _same(one: Evidence, other: Evidence) -> bool:
    return one.measure == other.measure and dict(one.at) == dict(other.at)
