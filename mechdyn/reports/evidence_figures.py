"""The figures that show what a verdict rests on, with control models whose verdicts are stored beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mechdyn.errors import InputError, StoreError
from mechdyn.evidence import Verdict
from mechdyn.models.registry import CONTROLS
from mechdyn.reports.tables import html_text
from mechdyn.runs.folder import read_json, read_record
from mechdyn.runs.verify import VERDICTS
from mechdyn.traces.stored import AnyTrace
from mechdyn.views.html import Html
from mechdyn.views.looks import InBothLooks, View
from mechdyn.views.verdict import verdict as draw
from mechdyn.views.verdict_rows import verdict_rows

RESTS_ON = "What the verdict rests on"
_UNJUDGED = "There is no figure, since no criterion was put to numbers here. The verdict says:"
_FEW = 3
"""More lengths or depths than this are told by the first and the last."""


def evidence_figures(
    verdict: Verdict, controls: Sequence[Verdict] = (), traces: Mapping[str, Sequence[AnyTrace]] | None = None
) -> dict[str, View]:
    """By heading: a figure of the verdict, and one for each beside it, which says in its title under which criteria it is.

    Where no criterion was put to the numbers, for want of samples say, the reason stands in the figure's place. Of criteria that ask
    nothing of a number there is none.
    """
    about = setting(traces or {})
    figures: dict[str, View] = {}
    for each in (verdict, *verdict.beside):
        decides = f"{RESTS_ON} ({each.named}, which decide)" if verdict.beside and each.named else RESTS_ON
        heading = decides if each is verdict else f"Beside it: the {each.named}"
        title = "" if each is verdict else f"{each.claim} on {each.model}, {each.named}: {each.outcome}"
        if not each.supports and not each.refutes:
            figures |= {heading: _unjudged(each)} if each.notes else {}
        elif verdict_rows(each):
            figures[heading] = _drawn(each, [found for control in controls for found in _like(control, each)], about, title)
    return figures


def _drawn(verdict: Verdict, controls: Sequence[Verdict], about: str, title: str) -> InBothLooks:
    return InBothLooks.of(lambda dark: draw(verdict, controls=controls, about=about, title=title, dark=dark))


def _unjudged(verdict: Verdict) -> Html:
    """Why a verdict has no criteria to draw."""
    why = "".join(f"<li>{html_text(note)}</li>" for note in verdict.notes)
    under = f", {verdict.named}" if verdict.named else ""
    head = html_text(f"{verdict.claim} on {verdict.model}{under}: {verdict.outcome}")
    return Html(f"<div><p><b>{head}</b></p><p>{_UNJUDGED}</p><ul>{why}</ul></div>")


def setting(traces: Mapping[str, Sequence[AnyTrace]]) -> str:
    """What the samples of a verdict were: `niah · 256, 512 tokens, depth 0.1 to 0.9, seed 0`; empty without a trace."""
    found = [trace for role in traces.values() for trace in role]
    if not found:
        return ""
    seeds = {trace.meta.get("seed") for trace in found}
    parts = [
        _told("", [trace.meta.get("length") for trace in found], " tokens"),
        _told("depth ", [trace.meta.get("depth") for trace in found]),
        _told("seed ", list(seeds)) if len(seeds) == 1 else f"{len(seeds):,} seeds",
    ]
    return " · ".join(part for part in (found[0].task, ", ".join(filter(None, parts))) if part)


def stored_controls(verdict: Verdict, folder: Path) -> list[Verdict]:
    """The verdicts of control models on the same claim, of runs beside this one that were asked the same but for the model.

    A neighbour that cannot be read is passed over.
    """
    folder = folder.resolve()
    try:
        asked, found = read_record(folder).asked, {}
    except StoreError:
        return []
    for path in sorted(folder.parent.glob(f"*/{VERDICTS}")):
        if path.parent == folder:
            continue
        try:
            record = read_record(path.parent)
            if record.asked == asked and record.model.get("name") in CONTROLS and record.model.get("name") != verdict.model:
                found[record.model["name"]] = Verdict.from_json(read_json(path)[0])
        except (StoreError, InputError, LookupError, TypeError, ValueError):
            continue
    return [control for control in found.values() if control.claim == verdict.claim]


def _like(control: Verdict, verdict: Verdict) -> list[Verdict]:
    """The control's verdict under the same criteria, where it has one."""
    return [each for each in (control, *control.beside) if each.named == verdict.named][:1]


def _told(before: str, values: Sequence[Any], after: str = "") -> str:
    known = sorted({value for value in values if isinstance(value, int | float)})
    if not known:
        return ""
    texts = [f"{value:,}" if isinstance(value, int) else f"{value:.2g}" for value in known]
    said = ", ".join(texts) if len(texts) <= _FEW else f"{texts[0]} to {texts[-1]}"
    return f"{before}{said}{after}"
