"""Lists of heads as tables and as a page: one list, and many held against each other."""

import math
from collections.abc import Mapping

from mechdyn.evidence import Evidence, Table, Verdict
from mechdyn.heads import RankedHeads
from mechdyn.reports.tables import TABLE_STYLE, table_html
from mechdyn.stats.head_lists import TOP, concentration, tied_at
from mechdyn.studies.head_lists import Comparison
from mechdyn.views.head_lists import layer_profiles, list_matrix
from mechdyn.views.head_maps import head_map, head_map_difference
from mechdyn.views.html import Html
from mechdyn.views.looks import Drawn, in_both_looks
from mechdyn.views.page import document, drawn, joined


def list_table(name: str, ranked: RankedHeads, k: int = TOP) -> Table:
    """The first heads of one list with their scores, and how these spread over samples where the list says it."""
    spread = ranked.spread
    rows = [
        (str(place + 1), str(head), _number(score, ".4f"), *([_number(spread[place].sd, ".4f"), str(spread[place].n)] if spread else []))
        for place, (head, score) in enumerate(zip(ranked.heads[:k], ranked.scores, strict=False))
    ]
    columns = ("rank", "head", "score", *(("sd", "samples") if spread else ()))
    return Table(name, columns, tuple(rows), numbers=tuple(column for column in columns if column != "head"))


def lists_table(lists: Mapping[str, RankedHeads], k: int = TOP) -> Table:
    """A line for each list: what its scores are, how many samples they rest on, and how few heads hold them."""
    rows = []
    for name, ranked in lists.items():
        held = concentration(ranked)
        inside, outside = tied_at(ranked, k)
        tied = f"{inside} and {outside}" if outside else ""
        n = "" if ranked.n is None else str(ranked.n)
        rows.append((name, ranked.statistic, n, str(len(ranked.heads)), _number(held.gini, ".3f"), _number(held.effective, ".1f"), tied))
    caption = (
        f"effective heads: exp of the entropy of the scores; tied at {k}: heads that score as the last of the first {k} does, "
        "among these and behind them"
    )
    columns = ("list", "statistic", "samples", "heads", "Gini", "effective heads", f"tied at {k}")
    return Table("Lists", columns, tuple(rows), caption, columns[2:], droppable=("statistic", "samples", f"tied at {k}"))


def pairs_table(comparison: Comparison) -> Table:
    """A line for every two lists: how far their first heads agree, beside chance, and how their ranks correlate."""
    rows = [
        (
            f"{pair.first} | {pair.second}",
            f"{pair.overlap.shared} of {min(pair.overlap.sizes)}",
            f"{pair.overlap.jaccard:.3f}",
            f"{pair.overlap.chance:.3f}",
            f"{pair.overlap.p:.2g}",
            _number(pair.correlation.rho, ".3f"),
            str(pair.correlation.n),
        )
        for pair in comparison.pairs
    ]
    numbers = ("shared", "Jaccard", "by chance", "p", "rank correlation", "over heads")
    caption = f"first {comparison.k} heads of each list; p: random lists share as many or more; Spearman's ρ of common heads"
    return Table("Agreement", ("lists", *numbers), tuple(rows), caption, numbers, droppable=("by chance", "over heads"))


def joins_table(comparison: Comparison) -> Table | None:
    """Which lists are joined, the most alike first, and at what mean Jaccard; None of two lists."""
    if comparison.clusters is None:
        return None
    members: list[tuple[str, ...]] = [(name,) for name in comparison.lists]
    rows = []
    for one, other, distance, _ in comparison.clusters.joins:
        joined_members = members[int(one)] + members[int(other)]
        rows.append((" + ".join(members[int(one)]), " + ".join(members[int(other)]), f"{1 - distance:.3f}"))
        members.append(joined_members)
    return Table("Which lists are alike", ("joined", "with", "mean Jaccard"), tuple(rows), numbers=("mean Jaccard",))


def verdict_on_lists(verdict: Verdict) -> list[Table]:
    """A line for each piece of evidence about lists: counts as whole numbers, and no bounds where two fixed lists have none."""
    rows = [
        (evidence.name, _value(evidence), "" if evidence.null is None else f"{evidence.null:.3f}", evidence.note)
        for evidence in verdict.evidence
    ]
    columns = ("measured", "value", "by chance", "note")
    return [Table(f"{verdict.claim} on {verdict.model}", columns, tuple(rows), numbers=columns[1:3], droppable=("note",))]


def comparison_figures(comparison: Comparison, *, dark: bool = False) -> dict[str, Drawn]:
    """Of two lists where they part, of more the matrix; the layers; a map of each list."""
    figures: dict[str, Drawn] = {"Every two lists": list_matrix(comparison, dark=dark)}
    if len(comparison.lists) == 2:
        figures = {"Where they part": head_map_difference(comparison.lists, comparison.k, dark=dark)}
    figures["Layers"] = layer_profiles(comparison, dark=dark)
    maps = {name: head_map(ranked, comparison.k, title=name, dark=dark) for name, ranked in comparison.lists.items()}
    return {**figures, **maps}


def comparison_page(comparison: Comparison, title: str, *, dark: bool | None = None) -> str:
    """Tables and figures on one page that needs no network, dark, light, or left out as the reader's system asks."""
    tables = [lists_table(comparison.lists, comparison.k), pairs_table(comparison), joins_table(comparison)]
    parts = [Html(f"<section>{table_html(table)}</section>") for table in tables if table]
    for index, figure in enumerate(in_both_looks(lambda dark: comparison_figures(comparison, dark=dark)).values()):
        parts += [Html("<section>"), drawn(index, figure, dark), Html("</section>")]
    return document(joined([Html("<main>"), *parts, Html("</main>")]), title, dark=dark, style=TABLE_STYLE)


def _value(evidence: Evidence) -> str:
    interval = evidence.interval
    spec = ".0f" if evidence.measure.startswith("heads ") else ".3f"
    return f"{interval.estimate:{spec}}" if math.isnan(interval.low) else f"{interval:{spec}}"


def _number(value: float, spec: str) -> str:
    return "" if math.isnan(value) else f"{value:{spec}}"
