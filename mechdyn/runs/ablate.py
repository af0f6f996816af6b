"""The ablation grid: lengths x depths x runs under every condition, from one prefill a sample.

Figure 2 for needles. For questions (Figures 6 and 12 to 14) the columns are context lengths and the rows where the evidence lies.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mechdyn.errors import InputError
from mechdyn.heads import HeadSet, RankedHeads, parse_heads_or_file
from mechdyn.models.model import Model
from mechdyn.plans import NO_TRACES, chosen_preset, named_preset
from mechdyn.runs.configs import AblateConfig
from mechdyn.runs.methods import check_modes, how, references
from mechdyn.runs.own_heads import write_own_heads
from mechdyn.runs.session import Session, Traces
from mechdyn.runs.site import HERE, Site
from mechdyn.schedules import SCHEDULES, schedule_from_spec
from mechdyn.scores.score import ScoreLike, as_score
from mechdyn.studies.conditions import CONDITIONS, DETECTION_ROLE, PRESETS, Detection, detect, grid_plan
from mechdyn.studies.grid import GridRow, cells_frame, detection_facts, grid_rows
from mechdyn.studies.lagged_effect import EffectRow, effect_rows
from mechdyn.traces.trace import Trace

if TYPE_CHECKING:
    from pandas import DataFrame

RESULTS = "results.json"


@dataclass(frozen=True, eq=False)
class AblationGrid:
    """What the grid gave: traces by role, a row for each condition and commit rule, and where it was asked for each condition's effect."""

    traces: Traces
    detection: Detection
    rows: tuple[GridRow, ...]
    folder: Path
    effects: tuple[EffectRow, ...] = ()

    def to_frame(self) -> "DataFrame":
        """A row for each condition, commit rule, length, depth and metric (`mechdyn.studies.grid.cells_frame`)."""
        return cells_frame(self.rows)


def ablate(config: AblateConfig, out: str | Path | None = None, site: Site = HERE) -> AblationGrid:
    """Run the grid; the folder holds `run.json`, `traces/`, `static_heads.json` and `results.json`.

    Run again, it goes on where it stopped.

    Raises:
        InputError: an unknown condition or method or none at all, options that the task has no use for, or a grid that the model cannot
            hold; nothing is written. Also where no detection sample is answered correctly, since there is nothing to rank then.
    """
    _check(config)
    with Session.open(config, out, site) as run:
        run.resolve(conditions=config.conditions or CONDITIONS)
        preset = chosen_preset(PRESETS, run.request)
        first = grid_plan(run.request, preset, NO_TRACES)
        listed = _fitted_heads(run)
        reference = references(run, [config.method], lambda: first.units)
        switched = how(config.method, config.scope, reference, config.seed)
        traces = run.traces(
            lambda found: grid_plan(run.request, preset, found, run.config.conditions, switched, listed, config.lagged, run.config.draws),
            describe=f"ablation on {Path(config.model).name}, {run.request.task.name}",
            reference=reference,
        )
        detection = require_detection(traces[DETECTION_ROLE])
        rows = grid_rows(traces, run.config.conditions)
        save_ranking(detection, run.folder, run.model, first.units[0].decoding["score"])
        effects = effect_rows(traces)
        results = {**detection_facts(detection, traces[DETECTION_ROLE]), "conditions": [row.as_json() for row in rows]}
        if effects:
            results["effects"] = [row.as_json() for row in effects]
        run.write(RESULTS, results)
        return AblationGrid(traces, detection, rows, run.folder, effects)


def require_detection(traces: Sequence[Trace]) -> Detection:
    """What the detection set gave, or an error where it gave nothing."""
    detection = detect(traces)
    if detection is None:
        raise InputError(
            f"none of the {len(traces)} detection samples was answered correctly, so no static heads can be ranked; "
            "take shorter lengths, or a model that answers"
        )
    return detection


def save_ranking(detection: Detection, folder: Path, model: Model, score: ScoreLike) -> None:
    """Keep the static heads in a run's folder, with what their scores are."""
    statistic = f"mean {as_score(score).name} score over the steps of correct samples"
    ranking = replace(detection.ranking, statistic=statistic, model=model.identity()["name"], n=detection.n_correct)
    write_own_heads(folder / "static_heads.json", ranking)


def _check(config: AblateConfig) -> None:
    """Refuse choices that need no model to be refused."""
    for name in config.conditions:
        kind = name.partition(":")[0]
        if name not in CONDITIONS and kind not in SCHEDULES.names():
            raise InputError(
                f"conditions must be some of {', '.join(CONDITIONS)}, or a schedule ({', '.join(SCHEDULES.names())}) with its options, "
                f"got {name}"
            )
    check_modes([config.method], [config.scope])
    if config.draws < 1:
        raise InputError(f"draws of random heads are counted from 1, got {config.draws}")
    if config.lagged is not None and (config.method, config.scope) != ("zero", "position"):
        raise InputError(
            f"effects at one step are measured with zero in a head's place at that position, got --method {config.method} --scope "
            f"{config.scope}; leave --lagged out"
        )
    named_preset(PRESETS, config.preset)


def _fitted_heads(run: Session) -> HeadSet | RankedHeads | None:
    """The heads that the user named, and every schedule asked for, held against the model before anything is written."""
    shape = (run.model.n_layers, run.model.n_heads)
    for name in run.config.conditions:
        if name not in CONDITIONS:
            schedule_from_spec(name, *shape)
    return parse_heads_or_file(run.config.heads).fit(*shape) if run.config.heads else None
