"""All that the paper claims, on a real language model: the runs, pages and pictures of docs/smollm2.

    python -m experiments.smollm2 --haystack BOOKS --data hotpot_dev_distractor_v1.json
    python -m experiments.smollm2 prose --haystack BOOKS

A part is a command of mechdyn and its page: what it came to, in tables, with the figures of its report and the explorer of one answer. Runs
are kept under `--out`, a folder a part, go on where they stopped and are judged again each time. Without names every part is made whose
files are given. Pictures need Chromium and the extra [images].
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import plotly.graph_objects as go
import typer

from experiments.pictures import screenshot
from mechdyn.cli import run_script
from mechdyn.errors import InputError
from mechdyn.evidence import Table
from mechdyn.reports.evidence_figures import RESTS_ON
from mechdyn.reports.page import report_html
from mechdyn.reports.sections import Section, make_report
from mechdyn.reports.tables import interval_text, markdown_text, table_markdown
from mechdyn.runs.command_lines import command_line
from mechdyn.runs.configs import ExploreConfig, ProgressiveConfig, VerifyConfig
from mechdyn.runs.explore import explore
from mechdyn.runs.progressive import progressive
from mechdyn.runs.rag import rag
from mechdyn.runs.rag_configs import RagConfig
from mechdyn.runs.read import Run, read_run
from mechdyn.runs.verify import verify
from mechdyn.stats.means import bootstrap_mean, mean_interval
from mechdyn.studies.conditions import CLEAN
from mechdyn.tasks.task import TASKS, answer_quality, metric_names
from mechdyn.traces.clusters import trace_clusters
from mechdyn.traces.trace import Trace
from mechdyn.views import explorer
from mechdyn.views.looks import InBothLooks
from mechdyn.views.page import save_text

PROGRAMS: Mapping[type, tuple[str, Callable[..., Any]]] = {
    VerifyConfig: ("mechdyn verify", verify),
    ProgressiveConfig: ("mechdyn progressive", progressive),
    RagConfig: ("mechdyn rag", rag),
}
WIDTH = 860
"""Pixels of a figure."""
MOST_LENGTHS = 6
"""More lengths than these go into one row."""


@dataclass(frozen=True)
class Part:
    """One command: its config, what it is asked, the options that name files, and how many figures of its report are kept."""

    config: type[VerifyConfig | ProgressiveConfig | RagConfig]
    asked: Mapping[str, Any]
    files: tuple[str, ...] = ()
    n_figures: int = 1

    def command(self, model: str) -> str:
        """What makes the run, each file by the name of its option."""
        named = {file: file.upper() for file in self.files}
        return command_line(PROGRAMS[self.config][0], self.config, {**self.asked, **named, "model": model})

    def page_command(self, name: str) -> str:
        """What makes the run and its page."""
        return " ".join(["python -m experiments.smollm2", name, *(f"--{file} {file.upper()}" for file in self.files)])


_HALF = {"dtype": "bfloat16"}
"""Long prompts take half the time in it (AVX512-BF16)."""
PARTS = {
    "dynamism": Part(VerifyConfig, {"claim": "dynamism"}, n_figures=2),
    "irreplaceability": Part(VerifyConfig, {"claim": "irreplaceability"}),
    "correlation": Part(VerifyConfig, {"claim": "correlation"}),
    "anticipation": Part(VerifyConfig, {"claim": "anticipation"}),
    "progressive": Part(ProgressiveConfig, {"lengths": (512,), "runs": 4, "masked": (0, 1, 2, 3, 5, 8, 12, 20)}, n_figures=2),
    "prose": Part(VerifyConfig, {"claim": "dynamism", "lengths": (512, 1024, 2048), "runs": 2, **_HALF}, files=("haystack",)),
    "prose-4096": Part(VerifyConfig, {"claim": "dynamism", "lengths": (4096,), "runs": 1, **_HALF}, files=("haystack",)),
    "hotpotqa": Part(VerifyConfig, {"claim": "dynamism", "task": "hotpotqa", "runs": 4, **_HALF}, files=("data",)),
    "rag": Part(RagConfig, {"lengths": (256,), "questions": 20, **_HALF}),
}


def smollm2(
    names: Annotated[list[str] | None, typer.Argument(metavar="[PART]...", help=f"{', '.join(PARTS)}; all when left out.")] = None,
    model: Annotated[str, typer.Option(help="As load_model takes it.")] = "smollm2-135m",
    data: Annotated[str | None, typer.Option(metavar="FILE", help="Questions in HotpotQA's layout.")] = None,
    haystack: Annotated[str | None, typer.Option(metavar="FOLDER", help="Books, as .txt files.")] = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the runs are kept.")] = Path("runs/smollm2"),
    docs: Annotated[Path, typer.Option(metavar="FOLDER", help="Where pages and pictures go.")] = Path("docs/smollm2"),
) -> None:
    """Run what is missing, judge, and write the pages."""
    given: dict[str, Any] = {"data": data, "haystack": haystack}
    for name in names or [name for name, part in PARTS.items() if all(given[file] for file in part.files)]:
        if name not in PARTS:
            raise InputError(f"no part {name!r}; give one of {', '.join(PARTS)}")
        part = PARTS[name]
        if missing := [file for file in part.files if not given[file]]:
            raise InputError(f"the part {name} reads files; give it --{missing[0]}")
        _, carry_out = PROGRAMS[part.config]
        asked: dict[str, Any] = {**part.asked, "model": model, **{file: given[file] for file in part.files}}
        carry_out(part.config(**asked), out / name)
        for path in write_part(name, part, out / name, docs):
            print(f"{name}: {path}, {path.stat().st_size:,} bytes", flush=True)


def write_part(name: str, part: Part, folder: Path, docs: Path) -> Iterator[Path]:
    """The report beside the run, then the page and the pictures of the docs."""
    run = read_run(folder, again=False)
    report = make_report([run])
    save_text(report_html(report), folder / "report.html")
    docs.mkdir(parents=True, exist_ok=True)
    pictures = list(_pictures(name, part, run, report.sections, docs))
    clean = [trace for traces in run.folder.roles.values() for trace in traces if trace.ablated is None and trace.n_steps]
    tables = [answers_by_length(clean)] if clean else []
    commands = (part.command(run.model), part.page_command(name))
    yield save_text(page_of(name, commands, report.sections, tables, pictures), docs / f"{name}.md")
    yield from pictures


def page_of(name: str, commands: Sequence[str], sections: Sequence[Section], more: Sequence[Table], pictures: Sequence[Path]) -> str:
    """The page: the commands, of which the second makes the page too, every section of the report, what else was counted, the pictures."""
    parts = [f"# {name}: what it came to", "\n".join(["```bash", *commands, "```"])]
    for section in sections:
        remarks = "\n".join(f"- {markdown_text(remark.strip())}" for remark in section.remarks)
        parts += [f"## {markdown_text(section.heading)}", *map(table_markdown, section.tables), remarks]
    for table in more:
        parts += [f"## {markdown_text(table.title)}", table_markdown(replace(table, title=""))]
    parts += [*(f"![{path.stem.replace('-', ' ')}]({path.name})" for path in pictures)]
    return "\n\n".join(part for part in parts if part) + "\n"


def answers_by_length(traces: Sequence[Trace]) -> Table:
    """Every answer without ablation by the length of its prompt; all in one row where lengths differ from prompt to prompt.

    Answers that share a needle or a haystack depend on each other, and the intervals go by that.
    """
    cells = [TASKS.get(trace.task).cell(trace.meta)[0] for trace in traces]
    lengths = sorted(set(cells))
    rows = [_row(str(length), [trace for trace, cell in zip(traces, cells, strict=True) if cell == length]) for length in lengths]
    if len(lengths) > MOST_LENGTHS:
        tokens = [len(trace.prompt_tokens) for trace in traces]
        rows = [_row(f"{min(tokens)} to {max(tokens)}", traces)]
    columns = ("tokens", "answers", *metric_names(traces[0].task), "heads a retrieving step", "retrieving steps")
    caption = "every answer without a head off: detection, evaluation and retest; 95 % by what they share"
    return Table("Answers by length", columns, tuple(rows), caption, numbers=columns)


def _row(tokens: str, traces: Sequence[Trace]) -> tuple[str, ...]:
    clusters = trace_clusters(traces)
    found = [answer_quality(trace.task, trace.text, trace.answer) for trace in traces]
    means = [mean_interval(np.array([quality[name] for quality in found]), clusters) for name in metric_names(traces[0].task)]
    steps, retrieving, heads = (
        np.array(values, dtype=np.float64)
        for values in zip(
            *((trace.n_steps, int(trace.retrieving_steps.sum()), int(trace.active.sum())) for trace in traces),
            strict=True,
        )
    )
    a_step, share = bootstrap_mean(heads, retrieving, clusters), bootstrap_mean(retrieving, steps, clusters)
    return (tokens, str(len(traces)), *map(interval_text, (*means, a_step, share)))


def _pictures(name: str, part: Part, run: Run, sections: Sequence[Section], docs: Path) -> Iterator[Path]:
    """The first figures of the report, those of verdicts beside the headline left out, and the explorer of one answer."""
    shown = [item for section in sections for item in section.figures.items() if not item[0].startswith(f"{RESTS_ON},")]
    light = [view.light if isinstance(view, InBothLooks) else view for _, view in shown]
    figures = [figure for figure in light if isinstance(figure, go.Figure)]
    for number, figure in enumerate(figures[: part.n_figures]):
        picture = docs / f"{name}{f'-{number + 1}' if number else ''}.png"
        figure.write_image(picture, width=WIDTH)
        yield picture
    if run.folder.roles:
        explored = explore(ExploreConfig(run=str(run.folder.path), conditions=(CLEAN,)))
        page = explorer(explored.traces, title=explored.title).save(run.folder.path / "explorer.html")
        yield screenshot(page, docs / f"{name}-explorer.png")


if __name__ == "__main__":
    run_script(smollm2)
