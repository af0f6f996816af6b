"""A run as a viewer: one pass over its traces writes parts and gathers the list; summaries of heads, results and report come after."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Int
from tqdm import tqdm

import mechdyn
from mechdyn.errors import MechdynError
from mechdyn.hashing import content_hash
from mechdyn.heads import RankedHeads
from mechdyn.reports.page import report_html
from mechdyn.reports.sections import make_report
from mechdyn.runs.read import read_run
from mechdyn.runs.viewing import ViewedRun, token_table
from mechdyn.studies.conditions import group_name
from mechdyn.studies.head_summary import Generation, generation_of, summarise
from mechdyn.traces.trace import Trace
from mechdyn.views.viewer.pack import (
    PART_BYTES,
    SampleRow,
    TraceRow,
    counts_block,
    data_script,
    heads_block,
    index_block,
    packed_trace,
    run_block,
    vocabulary_block,
)
from mechdyn.views.viewer.page import (
    EXPLORER,
    PAGE,
    mark_of,
    new_folder,
    pages_hash,
    sample_page,
    viewer_page,
    write_data,
    write_page,
)

REPORT = "report.html"
_FACTS = ("id", "length", "depth", "seed", "style")
_MOST_LOG = 5_000
_MOST_CELLS = 300_000_000
"""Steps times heads of a run whose report, which holds all traces at once, is made along with the viewer: 1.2 GB of scores."""


@dataclass(frozen=True)
class Viewer:
    """A viewer that was written, or was there already."""

    page: Path
    n_samples: int
    n_traces: int
    made: bool
    """False where the folder had the viewer of this very run."""
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Gathered:
    """What the pass over the traces leaves."""

    traces: list[TraceRow] = field(default_factory=list)
    counts: list[Int[np.ndarray, " head"]] = field(default_factory=list)
    generations: dict[str, list[Generation]] = field(default_factory=dict)
    samples: dict[int, SampleRow] = field(default_factory=dict)
    ids: set[int] = field(default_factory=set)
    facts: dict[str, object] = field(default_factory=dict)


def make_viewer(run: ViewedRun, out: Path, *, model: str | None = None, dark: bool | None = None) -> Viewer:
    """Write the viewer of a run into a folder.

    Args:
        run: what is shown.
        out: the folder; an older viewer in it is replaced, one of the same traces, results and lists is left as it is.
        model: where the run's model lies, for the texts of its tokens, when it was a local directory that has moved.
        dark: dark pages or light ones; left out, they follow what the reader's system asks for.

    Raises:
        InputError: something else is in the folder, or it cannot be written.
        StoreError: a part of the store that is damaged; it is named.
    """
    mark, n_traces = _mark(run, model, dark), sum(len(sample.units) for sample in run.samples)
    if mark_of(out) == mark:
        return Viewer(out / PAGE, len(run.samples), n_traces, False, ())
    with new_folder(out, mark) as folder:
        gathered = _Gathered()
        _write_parts(run, folder, gathered)
        texts, note = token_table(run, sorted(gathered.ids), model)
        notes = [*([note] if note else []), *_notes(run), *_write_report(run, folder, dark)]
        _write_index(run, folder, gathered, has_report=(folder / REPORT).is_file(), has_texts=bool(texts))
        write_data(folder, "vocabulary", data_script("vocabulary", vocabulary_block(texts)))
        write_data(folder, "counts", data_script("counts", counts_block(gathered.counts)))
        write_data(folder, "heads", data_script("heads", _heads(run, gathered.generations, run.lists)))
        log, manifest = run.log[-_MOST_LOG:], asdict(run.store.manifest)
        write_data(folder, "run", data_script("run", run_block(run.verdicts, run.asked, manifest, log, notes)))
        write_page(folder, PAGE, viewer_page(_title(run), dark))
        write_page(folder, EXPLORER, sample_page(_title(run), dark))
    return Viewer(out / PAGE, len(run.samples), n_traces, True, tuple(notes))


def _write_parts(run: ViewedRun, folder: Path, gathered: _Gathered) -> None:
    """All traces, some a file, in the order of the store; what the list and the summaries need of each."""
    places = {unit: (index, name) for index, sample in enumerate(run.samples) for name, unit in sample.units.items()}
    numbers = {name: number for number, name in enumerate(run.conditions)}
    traces = run.store.traces(places.keys())
    shown = tqdm(traces, desc="writing traces", unit="trace", total=len(places), disable=None, delay=1)
    packed: list[bytes] = []
    part = 0
    for trace in shown:
        index, name = places[trace.unit]
        if sum(map(len, packed)) >= PART_BYTES:
            write_data(folder, f"part-{part}", data_script(f"part-{part}", packed))
            part, packed = part + 1, []
        first = index not in gathered.samples
        if first:
            gathered.samples[index] = _sample_row(trace, len(gathered.traces))
            gathered.ids.update(trace.prompt_tokens.tolist())
        packed.append(packed_trace(name, trace, prompt=first))
        active = trace.active.flatten(1).numpy()
        right = run.samples[index].correct[name]
        steps, retrieving, mean = trace.n_steps, int(active.any(axis=1).sum()), float(active.sum(axis=1).mean())
        gathered.traces.append(TraceRow(index, numbers[name], part, len(packed) - 1, steps, retrieving, mean, right, trace.text))
        gathered.counts.append(active.sum(axis=0))
        gathered.generations.setdefault(group_name(name), []).append(generation_of(trace, right))
        gathered.facts.setdefault("threshold", trace.threshold)
    write_data(folder, f"part-{part}", data_script(f"part-{part}", packed))


def _write_index(run: ViewedRun, folder: Path, gathered: _Gathered, *, has_report: bool, has_texts: bool) -> None:
    manifest = run.store.manifest
    header = {
        "title": _title(run),
        "task": run.samples[0].task,
        "layers": manifest.n_layers,
        "heads": manifest.n_heads,
        "score": manifest.score,
        "threshold": gathered.facts["threshold"],
        "conditions": list(run.conditions),
        "groups": [group_name(name) for name in run.conditions],
        "report": REPORT if has_report else None,
        "vocabulary": has_texts,
        "again": f"mechdyn explore {run.path}" if run.record is not None else "",
        "verdicts": [{"claim": verdict.claim, "outcome": verdict.outcome} for verdict in run.verdicts],
    }
    samples = [gathered.samples[index] for index in range(len(run.samples))]
    write_data(folder, "index", data_script("index", index_block(header, samples, gathered.traces)))


def _heads(run: ViewedRun, generations: Mapping[str, list[Generation]], lists: Mapping[str, RankedHeads]) -> bytes:
    manifest = run.store.manifest
    names = dict.fromkeys(map(group_name, run.conditions))
    with tqdm(total=1, desc="summarising heads", unit="run", disable=None, delay=1) as bar:
        summary = summarise({name: generations[name] for name in names}, manifest.n_layers, manifest.n_heads)
        bar.update()
    return heads_block(summary, lists)


def _write_report(run: ViewedRun, folder: Path, dark: bool | None) -> Iterator[str]:
    """The report as a page of the viewer; a word where there is none."""
    if run.record is None:
        return
    cells = run.store.n_steps * run.store.manifest.n_flat
    if cells > _MOST_CELLS:
        yield f"the report is left out, since it would hold {cells / 1e9:.1f} billion scores at once; mechdyn report {run.path} writes it"
        return
    try:
        write_page(folder, REPORT, report_html(make_report([read_run(run.path, again=False)]), dark))
    except MechdynError as error:
        yield f"there is no report: {error}"
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        yield f"there is no report: a file of the run is not what mechdyn wrote ({type(error).__name__}: {error})"


def _notes(run: ViewedRun) -> Iterator[str]:
    if run.other_stores:
        yield f"the run has further traces, {', '.join(run.other_stores)}; --store NAME views them"
    shown = sum(len(sample.units) for sample in run.samples)
    if run.store.n_traces > shown:
        yield f"{run.store.n_traces - shown} of {run.store.n_traces} traces have no generated token and are left out"


def _sample_row(trace: Trace, number: int) -> SampleRow:
    facts = {fact: value for fact in _FACTS if isinstance(value := trace.meta.get(fact), str | int | float)}
    return SampleRow(trace.sample, facts, trace.question, trace.answer, number)


def _title(run: ViewedRun) -> str:
    return " · ".join(part for part in (run.path.resolve().name, run.store.manifest.model, run.samples[0].task) if part)


def _mark(run: ViewedRun, model: str | None, dark: bool | None) -> str:
    """What the viewer of a run hangs on."""
    return content_hash(
        {
            "version": mechdyn.__version__,
            "pages": pages_hash(),
            "path": str(run.path.resolve()),
            "units": sorted(run.store.keys()),
            "store": run.store.url,
            "verdicts": [verdict.as_json() for verdict in run.verdicts],
            "log": len(run.log),
            "lists": {name: [[str(head) for head in ranked.heads], list(map(str, ranked.scores))] for name, ranked in run.lists.items()},
            "model": model,
            "dark": dark,
        }
    )
