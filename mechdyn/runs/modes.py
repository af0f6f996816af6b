"""One list of heads off under every method and scope, beside random lists without them, on the same samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mechdyn.decoding.ablation import METHODS, ReferenceActivations
from mechdyn.heads import HeadSet, RankedHeads, parse_heads_or_file
from mechdyn.plans import DETECTION, Plan, Preset, chosen_preset, named_preset
from mechdyn.runs.ablate import RESULTS, require_detection, save_ranking
from mechdyn.runs.configs import ModesConfig
from mechdyn.runs.methods import check_modes, how, references
from mechdyn.runs.session import Session, Traces
from mechdyn.studies.conditions import DETECTION_ROLE, PRESETS, samples
from mechdyn.studies.modes import HeadLists, Mode, ModesTable, chosen_modes, first_heads, modes_plan, modes_table
from mechdyn.studies.random_lists import Leak

_SCOPES = ("position", "decode")
"""Scope `all` reads the whole sequence at every step; it is run where it is asked for."""
Hows = Mapping[Mode, Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class ModesRun:
    """What came out: the table, the lists that were off, traces by role."""

    table: ModesTable
    lists: HeadLists
    traces: Traces
    folder: Path

    @property
    def leak(self) -> Leak:
        """What random lists would share with the listed heads, were these not excluded."""
        return self.lists.leak


def modes(config: ModesConfig, out: str | Path | None = None) -> ModesRun:
    """Run every mode; the folder holds `run.json`, `traces/`, `results.json`, and `static_heads.json` where the heads were found here.

    Run again, it goes on where it stopped.

    Raises:
        InputError: an unknown method, scope or head, or so many heads that no others are left to draw; nothing is written. Also where heads
            are to be found and no detection sample is answered correctly.
    """
    check_modes(config.methods, config.scopes)
    named_preset(PRESETS, config.preset)
    with Session.open(config, out) as run:
        run.resolve(methods=config.methods or METHODS, scopes=config.scopes or _SCOPES)
        listed = _listed(run)
        preset = chosen_preset(PRESETS, run.request)
        hows, reference = _hows(run, preset)
        describe = f"modes on {Path(config.model).name}, {run.request.task.name}"
        traces = run.traces(partial(_plan, run, preset, listed, hows), describe=describe, reference=reference)
        lists = _lists(run, listed, traces)
        assert lists is not None  # every role of the plan was run
        table = modes_table({role: row for role, row in traces.items() if role != DETECTION_ROLE}, tuple(hows), config.draws, config.seed)
        run.write(RESULTS, {**table.as_json(), "lists": lists.as_json()})
        if listed is None:
            save_ranking(require_detection(traces[DETECTION_ROLE]), run.folder, run.model, run.request.score or run.request.task.score)
        return ModesRun(table, lists, traces, run.folder)


def _listed(run: Session) -> HeadSet | None:
    """The heads that the user named; of a ranking the first 5 %, at most 30."""
    if run.config.heads is None:
        return None
    shape = (run.model.n_layers, run.model.n_heads)
    chosen = parse_heads_or_file(run.config.heads)
    return first_heads(chosen.fit(*shape), shape[0] * shape[1]) if isinstance(chosen, RankedHeads) else chosen.fit(*shape)


def _hows(run: Session, preset: Preset) -> tuple[Hows, ReferenceActivations | None]:
    """The rest of each mode's ablation, and activations of detection prompts where a method needs them."""
    reference = references(run, run.config.methods, lambda: samples(run.request, preset, DETECTION))
    chosen = chosen_modes(run.config.methods, run.config.scopes)
    return {mode: how(mode.method, mode.scope, reference, run.config.seed) for mode in chosen}, reference


def _lists(run: Session, listed: HeadSet | None, traces: Traces) -> HeadLists | None:
    """The lists of the heads that were named, else of those that the detection set gives once it has been run."""
    if listed is None and DETECTION_ROLE in traces:
        ranking = require_detection(traces[DETECTION_ROLE]).ranking
        listed = first_heads(ranking, len(ranking.heads))
    return None if listed is None else HeadLists.of(listed, run.config.draws, run.config.seed)


def _plan(run: Session, preset: Preset, listed: HeadSet | None, hows: Hows, traces: Traces) -> Plan:
    """Every list in every mode; where no heads were named, the detection set first."""
    roles = {DETECTION_ROLE: samples(run.request, preset, DETECTION)} if listed is None else {}
    lists = _lists(run, listed, traces)
    return Plan(roles if lists is None else {**roles, **modes_plan(run.request, preset, lists, hows).roles})
