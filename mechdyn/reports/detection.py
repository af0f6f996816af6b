"""A detected list as tables: the first heads with their intervals, which samples count, and how far the list can be trusted."""

import math

from mechdyn.evidence import Table
from mechdyn.heads import RankedHeads
from mechdyn.reports.tables import interval_text
from mechdyn.runs.detect import Detected
from mechdyn.stats.head_lists import overlap, tied_at
from mechdyn.studies.detection import FEWEST_NEEDLES, STABLE


def detected_tables(found: Detected, title: str) -> list[Table]:
    """The list, the samples, the trust."""
    return [heads_table(found, title), cells_table(found), trust_table(found)]


def heads_table(found: Detected, title: str) -> Table:
    """The first k heads."""
    rows = [
        (str(place + 1), str(head), f"{interval.estimate:.4f}" if math.isnan(interval.low) else interval_text(interval, spec=".4f"))
        for place, (head, interval) in enumerate(zip(found.ranking.heads[: found.k], found.intervals, strict=False))
    ]
    n_dropped = sum(found.dropped.values())
    caption = (
        f"{found.ranking.statistic}; {found.ranking.n} samples of {found.n_needles} needles, {n_dropped} dropped; 95 %, needles resampled"
    )
    return Table(title, ("rank", "head", "score"), tuple(rows), caption, ("rank", "score"))


def cells_table(found: Detected) -> Table:
    """How many samples of each length and depth count, and why the others do not."""
    reasons = "; ".join(f"{n}: {reason}" for reason, n in found.dropped.items())
    rows = [
        (f"{cell.length}, {cell.depth:g}", f"{cell.n_taken} of {cell.asked}", interval_text(cell.taken, spec=".2f")) for cell in found.cells
    ]
    caption = f"dropped: {reasons or 'none'}; intervals: Wilson, 95 %"
    return Table("Samples that count", ("length, depth", "taken", "share"), tuple(rows), caption, ("taken", "share"))


def trust_table(found: Detected) -> Table:
    """Whether the list is stable, and split-half reliability beside what chance gives."""
    halves, k = found.halves, found.k
    inside, outside = tied_at(found.ranking, k)
    ties = f"{inside + outside} heads tie at place {k}, {inside} of them within: which are, is by layer and head alone" if outside else ""
    rows = [
        (f"resampled lists: ρ of the first {k} heads", f"{found.agreement.correlation:.3f}", f"stable from {STABLE:g}"),
        (f"resampled lists: share of the first {k} that stays", f"{found.agreement.shared:.3f}", ""),
        ("split halves: ρ of all heads", f"{halves.correlation:.3f}", f"whole list (Spearman-Brown) {halves.whole:.3f}"),
        (
            f"split halves: Jaccard of the first {k}",
            f"{halves.jaccard:.3f} [{halves.low:.3f}, {halves.high:.3f}]",
            f"by chance {_chance(found.ranking, k):.3f}",
        ),
    ]
    verdict = "stable" if found.stable else f"NOT stable (ρ below {STABLE:g}, or fewer than {FEWEST_NEEDLES} needles): take more samples"
    return Table(f"How far it can be trusted: {verdict}", ("measure", "value", "beside it"), tuple(rows), ties, ("value",))


def _chance(ranking: RankedHeads, k: int) -> float:
    """The mean Jaccard of two lists of k heads drawn at random."""
    return overlap(ranking, ranking, k).chance
