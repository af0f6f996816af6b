"""What each condition of the ablation experiment comes to: its metrics, and the paired differences that the verdict rests on."""

import plotly.graph_objects as go

from mechdyn.claims.irreplaceability_first import DIFFERENCE, MARGIN
from mechdyn.errors import InputError
from mechdyn.evidence import Verdict
from mechdyn.stats.interval import Interval
from mechdyn.studies.conditions import COMMITS, CONDITIONS
from mechdyn.views.panels import IntervalPanel, interval_panels

_METRICS = ("accuracy", "rouge_l", "f1", "em")


def conditions(found: Verdict, *, about: str = "", title: str = "", dark: bool = False) -> go.Figure:
    """Conditions x metric with intervals, then the metric of each less that of dynamic, sample by sample; a mark for each commit rule.

    The dotted lines are 0 and 0.05, between which dynamic is no worse than another condition to speak of.

    Args:
        found: a verdict on irreplaceability.
        about: what the samples were, such as task, lengths, depths and seed, for the second line.
        title: the first line above; claim, model and outcome when left out.
        dark: for a dark background.

    Raises:
        InputError: a verdict without conditions, such as one that stopped at the detection set.
    """
    panels = [IntervalPanel(name, _by_commit(found, name), (0.0, MARGIN) if name == DIFFERENCE else ()) for name in (*_METRICS, DIFFERENCE)]
    shown = [panel for panel in panels if any(panel.series.values())]
    if not shown:
        raise InputError(f"the verdict {found.claim} on {found.model} has no conditions to draw; mechdyn verify irreplaceability has them")
    heading = title or f"{found.claim} on {found.model}: {found.outcome}"
    subtitle = " · ".join(part for part in (about, "95 % intervals; dotted: 0 and the margin 0.05") if part)
    return interval_panels(shown, title=heading, subtitle=subtitle, dark=dark)


def _by_commit(found: Verdict, measure: str) -> dict[str, dict[str, Interval]]:
    """The intervals of a measure by commit rule and condition, in the order of the experiment."""
    rows = {}
    for commit in COMMITS:
        each = {name: found.find(measure, condition=name, commit=commit) for name in CONDITIONS}
        known = {name: evidence.interval for name, evidence in each.items() if evidence is not None}
        if known:
            rows[f"commit={commit}"] = known
    return rows
