"""The gallery of docs/views.md: a picture of every public view, `python -m experiments.gallery` or `make gallery`.

Views of traces show `smollm2-135m` where it is installed, else the bundled model; results that need long runs are made up, and the page
says so of each. Needs Chromium, which runs without a network.
"""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import plotly.graph_objects as go
import typer

import mechdyn as md
from experiments.gallery.examples import EXAMPLES, Made
from experiments.pictures import screenshot
from mechdyn.cli import run_script
from mechdyn.errors import InputError
from mechdyn.traces.trace import Trace
from mechdyn.views.page import save_text

REAL = "smollm2-135m"
_WIDTH, _BACKED, _STEP = 900, 10, 6
_HEAD = """# Views

Every view is a function of `mechdyn.views` that takes data and gives a figure or HTML; nothing is loaded from anywhere. All of them take
`title` and `dark`; those that draw some of a model's heads take `heads` (`varying`, `top`, `all`, or the heads themselves).
`md.views.for_paper(view)` makes a copy for a column of a paper, `md.views.save_page([view, …], path, title)` one page of several.

This page and its pictures are made by `make gallery`. {made}
"""


def gallery(
    docs: Annotated[Path, typer.Option(help="Folder of the documentation.")] = Path("docs"),
    work: Annotated[Path, typer.Option(help="Folder of the pages that the pictures are of.")] = Path("build/gallery"),
    only: Annotated[list[str] | None, typer.Option(help="Draw this view alone; may be given several times.")] = None,
) -> None:
    """A picture of every public view into docs/pictures/gallery, and docs/views.md around them."""
    chosen = sorted(only or EXAMPLES)
    strangers = [name for name in chosen if name not in EXAMPLES]
    if strangers:
        raise InputError(f"the views are {', '.join(sorted(EXAMPLES))}, got {strangers[0]!r}")
    pictures = docs / "pictures" / "gallery"
    pictures.mkdir(parents=True, exist_ok=True)
    model, real = real_views()
    for name in chosen:
        drawn = real[name]() if name in real else EXAMPLES[name](Made())
        page, (width, height) = write_page(drawn, name, work)
        picture = screenshot(page, pictures / f"{name}.png", width=width, height=height)
        print(f"picture {picture}, {picture.stat().st_size:,} bytes")
    print(f"page    {save_text(written(model, real), docs / 'views.md')}")


def real_views() -> tuple[str, Mapping[str, Any]]:
    """The model that traces are of, and by view a function that draws it."""
    try:
        model, name = md.load_model(REAL), REAL
    except InputError:
        model, name = md.load_model("mini"), "mini"
    sample = md.niah(model, length=512, depth=0.5, seed=0)
    first = md.trace(model, sample)
    heads = [head for head, _ in ranked(first)[:_BACKED]]
    clean, dynamic = md.trace(model, sample, backing=heads), md.trace(model, sample, ablate=md.Dynamic())
    short = md.trace(model, md.niah(model, length=110, depth=0.5, seed=0)) if name == "mini" else first
    step, views = min(_STEP, clean.n_steps - 1), md.views
    head = next(iter(clean.heads(step)), heads[0])
    return name, {
        "alarm": lambda: views.alarm(clean),
        "attention": lambda: views.attention(clean, step, head),
        "compare": lambda: views.compare(clean, dynamic),
        "explorer": lambda: views.explorer({"clean": clean, "dynamic": dynamic}),
        "layer_head": lambda: views.layer_head(clean, step),
        "patterns": lambda: views.patterns(short, heads=heads[:3]),
        "timeline": lambda: views.timeline(clean),
        "tokens": lambda: views.tokens(clean),
    }


def ranked(trace: Trace) -> list[tuple[md.Head, float]]:
    """Heads by their mean score, the highest first."""
    means = trace.retrieval_scores.mean(dim=0)
    order = means.flatten().argsort(descending=True, stable=True).tolist()
    n_heads = means.shape[1]
    return [(md.Head(*divmod(place, n_heads)), float(means.flatten()[place])) for place in order]


def write_page(drawn: Any, name: str, work: Path) -> tuple[Path, tuple[int, int]]:
    """A page of the view alone, and how wide and high it is."""
    path = work / f"{name}.html"
    if isinstance(drawn, md.views.Explorer):
        return drawn.save(path), (_WIDTH, 860)
    size = (_WIDTH, 420)
    if isinstance(drawn, go.Figure):
        size = max(_WIDTH, int(drawn.layout.meta["min_width"]) + 60), int(drawn.layout.height) + 80
    return md.views.save_page([drawn], path, title=f"md.views.{name}"), size


def written(model: str, real: Mapping[str, Any]) -> str:
    """The page of the documentation: each view with its first sentence, what it is of, and its picture."""
    parts = [_HEAD.format(made=f"Views of traces show `{model}`; the others show made-up numbers, since they need long runs.")]
    for name in sorted(EXAMPLES):
        told = (inspect.getdoc(getattr(md.views, name)) or "").partition("\n\n")[0].replace("\n", " ")
        of = f"one answer of `{model}`" if name in real else "made-up numbers"
        parts.append(f"## `{name}`\n\n{told}\n\n![{name}: {of}](pictures/gallery/{name}.png)\n")
    return "\n".join(parts)


if __name__ == "__main__":
    run_script(gallery)
