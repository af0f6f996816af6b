"""A verdict as a table in the terminal, and the figure that goes with it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mechdyn.claims.claim import Verdict
from mechdyn.claims.paper_values import TABLE_1, PaperDynamism
from mechdyn.metrics import contains_answer
from mechdyn.traces.trace import Trace
from mechdyn.views.page import save_page
from mechdyn.views.timeline import timeline

_PAPER: Mapping[str, Callable[[PaperDynamism], str]] = {
    "adjacent Jaccard": lambda row: f"{row.adjacent_jaccard:.3f}",
    "Jaccard with static top 20": lambda row: f"{row.static_jaccard:.3f}",
    "entropy (nats)": lambda row: f"{row.entropy:.3f}",
    "heads per retrieving step": lambda row: f"{row.heads_per_step[0]:.1f} ± {row.heads_per_step[1]:.1f}",
    "activated heads": lambda row: f"{row.activated[0]}/{row.activated[1]}",
}


def verdict_table(verdict: Verdict) -> Table:
    """Every measured value with its 95 % interval and the samples behind it, the paper's five models beside it."""
    table = Table(title=f"{verdict.claim} on {verdict.model}", title_justify="left", caption_justify="left")
    table.add_column("measured (95 % by sample)", no_wrap=True)
    table.add_column("value", no_wrap=True)
    table.add_column("n", justify="right")
    for name in TABLE_1:
        table.add_column(f"paper: {name}", justify="right")
    for evidence in verdict.evidence:
        value = f"{evidence.interval}" + (f" ({evidence.note})" if evidence.note else "")
        table.add_row(evidence.name, value, str(evidence.interval.n), *_paper_cells(evidence.name))
    activated = f"{verdict.facts['activated_heads']}/{verdict.facts['total_heads']}"
    table.add_row("activated heads", activated, str(verdict.facts["samples"]), *_paper_cells("activated heads"))
    return table


def print_verdict(verdict: Verdict, console: Console | None = None) -> None:
    """The table, the criteria with what met or missed them, and the verdict; plain and unwrapped when piped."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(width=200)
    console.print(verdict_table(verdict))
    for reason in verdict.reasons:
        console.print(f"  {reason}", highlight=False, markup=False)
    console.print(f"[bold]{verdict.claim} on {verdict.model}: {verdict.outcome}[/bold]", highlight=False)


def save_verdict_figure(verdict: Verdict, traces: Mapping[str, Sequence[Trace]], folder: Path) -> Path:
    """Figure 1 for the first correct evaluation sample (the first with any step if none is correct), as a page."""
    candidates = [trace for trace in traces["evaluation"] if trace.n_steps]
    correct = [trace for trace in candidates if contains_answer(trace.text, trace.answer)]
    path = folder / "timeline.html"
    figures = [timeline(trace) for trace in (correct or candidates)[:1]]
    save_page(figures, path, title=f"{verdict.claim} on {verdict.model}: {verdict.outcome}")
    return path


def _paper_cells(name: str) -> list[str]:
    read = _PAPER.get(name)
    return [read(row) if read else "" for row in TABLE_1.values()]
