"""Progressive ablation (Figure 3, A.2): the k highest-ranked dynamic heads of each step off, k growing, on the same samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mechdyn.errors import InputError
from mechdyn.paper.parts import NEEDLES
from mechdyn.plans import chosen_preset, named_preset
from mechdyn.runs.ablate import RESULTS, require_detection
from mechdyn.runs.configs import ProgressiveConfig
from mechdyn.runs.session import Session
from mechdyn.runs.site import HERE, Site
from mechdyn.studies.conditions import COMMITS, DETECTION_ROLE
from mechdyn.studies.grid import detection_facts
from mechdyn.studies.progressive import PRESETS, ProgressivePoint, default_masked, progressive_plan, progressive_point


@dataclass(frozen=True, eq=False)
class Progressive:
    """The points by commit rule, k ascending."""

    points: Mapping[str, tuple[ProgressivePoint, ...]]
    on_needles: bool
    """Whether the task is one of those for which the paper draws Figure 3."""
    folder: Path


def progressive(config: ProgressiveConfig, out: str | Path | None = None, site: Site = HERE) -> Progressive:
    """Run all k; the folder holds `run.json`, `traces/` and `results.json`. Run again, it goes on where it stopped.

    Raises:
        InputError: a number of heads that the model has not, or samples that it cannot hold; nothing is written. Also where no
            detection sample is answered correctly, since there are no static heads then.
    """
    named_preset(PRESETS, config.preset)
    with Session.open(config, out, site) as run:
        masked = _masked(config, run.model.n_layers * run.model.n_heads)
        run.resolve(masked=masked)
        describe = f"progressive ablation on {Path(config.model).name}, {run.request.task.name}"
        traces = run.traces(progressive_plan(run.request, chosen_preset(PRESETS, run.request), masked), describe=describe)
        detection = require_detection(traces[DETECTION_ROLE])
        points = {commit: tuple(progressive_point(k, commit, traces, detection.ranking) for k in masked) for commit in COMMITS}
        rows = [point.as_json() for row in points.values() for point in row]
        run.write(RESULTS, {**detection_facts(detection, traces[DETECTION_ROLE]), "points": rows})
        return Progressive(points, run.request.task.paper == NEEDLES, run.folder)


def _masked(config: ProgressiveConfig, n_total: int) -> tuple[int, ...]:
    """Ascending numbers of heads to mask; those asked for, or the default for a model of this many heads."""
    chosen = config.masked or default_masked(n_total)
    wrong = [k for k in chosen if not 0 <= k <= n_total]
    if wrong:
        raise InputError(f"masked heads must lie between 0 and {n_total} (the heads of the model), got {wrong[0]}")
    return tuple(sorted(set(chosen)))
