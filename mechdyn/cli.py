"""The command line. Heavy imports wait until a command needs them, so that help comes at once."""

import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from mechdyn.errors import MechdynError

app = typer.Typer(
    help="Which attention heads retrieve what, at which step of generation, and does it matter?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ModelOption = Annotated[str, typer.Option("--model", help="mini, a control, a local Hugging Face directory or a hub id.")]
HaystackOption = Annotated[Path | None, typer.Option(help="Text file or folder of .txt files; procedural prose when left out.")]
OutOption = Annotated[Path | None, typer.Option("--out", help="Folder of the run; run again, the same run goes on in it.")]
PresetOption = Annotated[str, typer.Option(help="quick, standard or paper: prompt lengths and samples.")]
LengthOption = Annotated[list[int] | None, typer.Option(help="Prompt length in tokens instead of the preset's; may be repeated.")]
SeedOption = Annotated[int, typer.Option(help="Draws every sample.")]
TaskOption = Annotated[str, typer.Option(help="niah (needles), world (procedural two-hop questions) or hotpotqa (questions of --data).")]
StyleOption = Annotated[str | None, typer.Option(help="rationale or direct: how questions ask for the answer; rationale when left out.")]
DataOption = Annotated[Path | None, typer.Option(help="JSON file in HotpotQA's layout, for --task hotpotqa.")]
BatchOption = Annotated[int, typer.Option(min=1, help="Samples generated together, each under all of its conditions.")]


def main() -> None:
    """Entry point."""
    run_command(app)


def run_command(command: Callable[[], object]) -> None:
    """Run a command; an error that mechdyn raises on purpose is one line and exit code 2."""
    try:
        command()
    except MechdynError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)


@app.command()
def verify(
    claim: Annotated[str, typer.Argument(help="dynamism, irreplaceability, correlation or anticipation")],
    model: ModelOption = "mini",
    preset: PresetOption = "quick",
    length: LengthOption = None,
    seed: SeedOption = 0,
    haystack: HaystackOption = None,
    task: TaskOption = "niah",
    style: StyleOption = None,
    data: DataOption = None,
    batch_size: BatchOption = 8,
    out: OutOption = None,
) -> None:
    """Run what a claim needs and judge it: a table, verdicts.json, the figure and the traces."""
    from mechdyn.sweep.verify import VerifyConfig
    from mechdyn.sweep.verify import verify as run_verify
    from mechdyn.views.verdict import print_verdict, save_verdict_figure

    config = VerifyConfig(
        claim=claim,
        model=model,
        preset=preset,
        lengths=tuple(length or ()),
        seed=seed,
        haystack=str(haystack) if haystack else None,
        batch_size=batch_size,
        task=task,
        style=style,
        data=str(data) if data else None,
    )
    name = "-".join([claim, Path(model).name, *([] if task == "niah" else [task]), *([style] if style else []), preset])
    verified = run_verify(config, out or Path("runs") / name)
    print_verdict(verified.verdict)
    figure = save_verdict_figure(verified.verdict, verified.traces, verified.folder)
    if figure is not None:
        print(f"figure   {figure}")
    print(f"verdict  {verified.folder / 'verdicts.json'}\ntraces   {verified.folder / 'traces'}")


@app.command()
def ablate(
    model: ModelOption = "mini",
    preset: PresetOption = "quick",
    length: LengthOption = None,
    depth: Annotated[list[float] | None, typer.Option(help="Needle depth, 0 to 1, instead of the preset's; may be repeated.")] = None,
    runs: Annotated[int | None, typer.Option(min=1, help="Samples a cell instead of the preset's.")] = None,
    condition: Annotated[list[str] | None, typer.Option(help="Only this condition; may be repeated. All when left out.")] = None,
    method: Annotated[str, typer.Option(help="zero, mean or resample: what takes an ablated head's place.")] = "zero",
    seed: SeedOption = 0,
    haystack: HaystackOption = None,
    batch_size: BatchOption = 8,
    out: OutOption = None,
) -> None:
    """Switch heads off at every step over lengths x depths (Figure 2): heatmaps, results.json and the traces."""
    from mechdyn.claims.conditions import CONDITIONS
    from mechdyn.sweep.ablate import AblateConfig
    from mechdyn.sweep.ablate import ablate as run_ablate
    from mechdyn.views.ablation import ablation_grids, grid_table
    from mechdyn.views.page import save_page
    from mechdyn.views.tables import print_tables

    config = AblateConfig(
        model=model,
        preset=preset,
        lengths=tuple(length or ()),
        depths=tuple(depth or ()),
        runs=runs,
        conditions=tuple(condition) if condition else CONDITIONS,
        method=method,
        seed=seed,
        haystack=str(haystack) if haystack else None,
        batch_size=batch_size,
    )
    result = run_ablate(config, out or Path("runs") / f"ablate-{Path(model).name}-{preset}")
    title = f"Ablation on {model}"
    print_tables([grid_table(result.rows, title)])
    page = save_page(ablation_grids(result.traces, title=model), result.folder / "ablation.html", title=title)
    print(f"figures  {page}\nresults  {result.folder / 'results.json'}\ntraces   {result.folder / 'traces'}")


@app.command()
def trace(
    model: ModelOption = "mini",
    length: Annotated[int, typer.Option(help="Prompt length in tokens.")] = 512,
    depth: Annotated[float, typer.Option(help="Where in the haystack the needle goes, 0 to 1.")] = 0.5,
    seed: Annotated[int, typer.Option(help="Draws haystack and needle.")] = 0,
    haystack: HaystackOption = None,
    out: OutOption = None,
    show: Annotated[bool, typer.Option("--show/--no-show", help="Open the timeline in a browser (in a terminal only).")] = True,
) -> None:
    """Trace one needle-in-a-haystack sample, store it and open its timeline."""
    from mechdyn.sweep.single import TraceConfig, trace_one
    from mechdyn.views.page import save_page
    from mechdyn.views.timeline import timeline

    config = TraceConfig(model, length, depth, seed, str(haystack) if haystack else None)
    result, folder = trace_one(config, out or Path("runs") / f"trace-{Path(model).name}-{length}-{depth:g}-{seed}")
    if not result.n_steps:
        print(f"no token was generated (stopped: {result.stopped}); the trace is in {folder / 'traces'}")
        return
    page = folder / "timeline.html"
    save_page([timeline(result)], page, title=f"{result.task} on {model}")
    print(f"answer   {result.text}\nexpected {result.answer}\ntimeline {page}")
    if show and sys.stdout.isatty():
        webbrowser.open(page.resolve().as_uri())


@app.command()
def models() -> None:
    """List the models that have a short name."""
    from mechdyn.models.registry import list_models

    for listing in list_models():
        print(f"{listing.name:16} {listing.source:38} {listing.about}")
    print("Any local Hugging Face directory and any hub id (owner/name) of a decoder-only model can be given as well.")
