"""`mechdyn heads`: detect a model's heads; show a file of heads, convert it, compare many, and put lists to what Wu et al. 2024 say."""

import re
from pathlib import Path
from typing import Annotated

import typer

from mechdyn.cli.app import app
from mechdyn.cli.options import OutOption, takes
from mechdyn.errors import InputError
from mechdyn.runs.configs import DetectConfig
from mechdyn.text import visible

heads = typer.Typer(help="Ranked heads: detect a model's, show or convert a file, compare or judge lists.", no_args_is_help=True)
app.add_typer(heads, name="heads")

_SUFFIXES = {"qrhead": ".yaml", "duoattention": ".tsv"}
"""Of layouts that are no JSON."""
_MOST_PRINTED = 45
"""More pairs than these are on the page only."""
_FILE = "A file of heads; NAME=FILE gives it a name, FILE:format=FORMAT says its layout."
FilesArgument = Annotated[list[str], typer.Argument(metavar="FILE...", help=_FILE)]
FirstOption = Annotated[int, typer.Option("--k", min=1, help="How many of the first heads of each list are compared.")]
ShapeOption = Annotated[
    str | None, typer.Option("--shape", metavar="LAYERSxHEADS", help="The model's shape, where no list says it, such as 32x32.")
]


@heads.command()
@takes(DetectConfig)
def detect(
    config: DetectConfig,
    format: Annotated[str, typer.Option("--format", help="A second file in this layout, as `heads convert` has it.")] = "mechdyn",
    out: OutOption = None,
) -> None:
    """Rank a model's heads by a score: the list with intervals, which samples count and why others do not, and how stable it is."""
    from mechdyn.heads import layout_of
    from mechdyn.reports.detection import detected_tables
    from mechdyn.reports.tables import print_tables
    from mechdyn.runs.detect import HEADS, RESULTS
    from mechdyn.runs.detect import detect as run_detect

    layout_of(format)
    found = run_detect(config, out)
    print_tables(detected_tables(found, f"Heads of {config.model} by {found.name} on {config.task}"))
    print(f"heads    {found.folder / HEADS}\nresults  {found.folder / RESULTS}")
    if format != "mechdyn":
        path = found.folder / f"heads.{format.partition(':')[0]}{_SUFFIXES.get(format.partition(':')[0], '.json')}"
        found.ranking.save(path, format=format)
        print(f"{format[:8]:8} {path}")
    print(f"next     mechdyn heads show {found.folder / HEADS}")


@heads.command()
def show(
    file: Annotated[str, typer.Argument(metavar="FILE", help=_FILE)],
    top: Annotated[int, typer.Option(min=1, help="How many heads are listed.")] = 20,
) -> None:
    """Say what a file of heads is: its layout, model, statistic, samples, and the first heads."""
    from mechdyn.heads import format_of
    from mechdyn.reports.head_lists import list_table
    from mechdyn.reports.tables import print_tables
    from mechdyn.studies.head_lists import named_lists, path_and_format

    ((name, ranked),) = named_lists([file]).items()
    path, layout = path_and_format(file)
    about = {"format": layout or format_of(path), "model": ranked.model, "statistic": ranked.statistic, "samples": ranked.n or ""}
    shape = "" if ranked.n_layers is None else f" of {ranked.n_layers} layers x {ranked.n_heads} heads"
    for field, value in {**about, "heads": f"{len(ranked.heads)}{shape}"}.items():
        print(visible(f"{field:9} {value or '(the file does not say)'}"))
    print_tables([list_table(name, ranked, top)])
    print(f"next     mechdyn ablate --heads {visible(file)}")


@heads.command()
def convert(
    file: Annotated[str, typer.Argument(metavar="IN", help=_FILE)],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The new file; one that is there is written over.")],
    format: Annotated[str, typer.Option("--format", help="Its layout, with options as name:option=value.")] = "mechdyn",
    top: Annotated[int | None, typer.Option(min=1, help="Only so many of the first heads; all when left out.")] = None,
    shape: ShapeOption = None,
    model: Annotated[str | None, typer.Option(help="The model's name, where the file does not say it.")] = None,
) -> None:
    """Write a file of heads in another layout; what that cannot hold is said."""
    from dataclasses import replace

    from mechdyn.studies.head_lists import named_lists

    (ranked,) = named_lists([file]).values()
    ranked = ranked.fit(*_shape(shape)) if shape else ranked
    ranked = replace(ranked, model=model) if model else ranked
    ranked = ranked.first(top) if top else ranked
    ranked.save(out, format=format)
    print(f"wrote    {out}: {len(ranked.heads)} heads as {format}\nnext     mechdyn heads show {out}")


@heads.command()
def compare(
    files: FilesArgument,
    k: FirstOption = 20,
    shape: ShapeOption = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The page with tables, matrix and maps.")] = Path("heads.html"),
    dark: Annotated[bool | None, typer.Option("--dark/--light", help="The look; as the reader's system asks when left out.")] = None,
) -> None:
    """Hold lists of heads of one model, or of models of one shape, against each other: tables, a matrix, maps of layers and heads."""
    from mechdyn.reports.head_lists import comparison_page, joins_table, lists_table, pairs_table
    from mechdyn.reports.tables import print_tables
    from mechdyn.studies.head_lists import compare_lists, named_lists, of_one_shape
    from mechdyn.views.page import save_text

    found = compare_lists(of_one_shape(named_lists(files), _shape(shape) if shape else None), k)
    few = len(found.pairs) <= _MOST_PRINTED
    tables = [lists_table(found.lists, k), *([pairs_table(found), joins_table(found)] if few else [])]
    print_tables([table for table in tables if table])
    page = save_text(comparison_page(found, f"{len(found.lists)} lists of heads", dark=dark), out)
    print(f"page     {page}" + ("" if few else f", with all {len(found.pairs)} pairs"))
    print(f"next     mechdyn heads verify sparse {' '.join(map(visible, files))}")


@heads.command()
def verify(
    claim: Annotated[str, typer.Argument(metavar="PROPERTY", help="sparse, intrinsic or universal.")],
    files: FilesArgument,
    k: FirstOption = 20,
    shape: ShapeOption = None,
) -> None:
    """Put lists to a property that Wu et al. 2024 give retrieval heads; of intrinsic the first list is the base model's.

    No model is run and no run is kept: the verdict follows from the files alone.
    """
    from mechdyn.reports.verdict import print_verdict
    from mechdyn.studies.head_lists import named_lists, of_one_shape
    from mechdyn.studies.wu2024 import verdicts

    lists = named_lists(files)
    lists = of_one_shape(lists, _shape(shape) if shape else None) if shape or claim == "intrinsic" else lists
    for verdict in verdicts(claim, lists, k):
        print_verdict(verdict)
    print(f"next     mechdyn heads compare {' '.join(map(visible, files))}")


def _shape(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})", text)
    if match is None:
        raise InputError(f"a shape is layers x heads, such as 32x32, got {text!r}")
    return int(match[1]), int(match[2])
