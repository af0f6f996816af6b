"""Progressive ablation (Figure 3, A.2): the k highest-ranked dynamic heads of each step off, k growing, on the same samples."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mechdyn.decoding.engines import make_engine
from mechdyn.errors import InputError
from mechdyn.models.load import load_model
from mechdyn.plans import chosen_preset
from mechdyn.runs.ablate import require_detection
from mechdyn.runs.configs import ProgressiveConfig
from mechdyn.runs.folder import open_run, write_json
from mechdyn.runs.requests import check_choices, check_samples, make_request
from mechdyn.runs.stages import ROLES, run_stages
from mechdyn.runs.stores import open_store
from mechdyn.studies.conditions import COMMITS, DETECTION_ROLE
from mechdyn.studies.grid import detection_facts
from mechdyn.studies.progressive import PRESETS, ProgressivePoint, default_masked, progressive_plan, progressive_point


@dataclass(frozen=True, eq=False)
class Progressive:
    """The points by commit rule, k ascending."""

    points: Mapping[str, tuple[ProgressivePoint, ...]]
    folder: Path


def progressive(config: ProgressiveConfig, out: str | Path) -> Progressive:
    """Run all k; the folder holds `run.json`, `traces/` and `results.json`. Run again, it goes on where it stopped.

    Raises:
        InputError: a number of heads that the model has not, or samples that it cannot hold; nothing is written. Also where no
            detection sample is answered correctly, since there are no static heads then.
    """
    check_choices(config.task, config.style, config.data, config.haystack, config.lengths)
    preset = chosen_preset(PRESETS, config.preset, config.lengths)
    preset = replace(preset, n_seeds=preset.n_seeds if config.runs is None else config.runs)
    model = load_model(config.model)
    masked = _masked(config, model.n_layers * model.n_heads)
    request = make_request(
        model, preset=config.preset, seed=config.seed, haystack=config.haystack, task=config.task, style=config.style, data=config.data
    )
    plan = progressive_plan(request, preset, masked)
    check_samples(model, plan)
    engine = make_engine(model, config.engine)
    folder = open_run(out, {**asdict(config), "masked": masked, "model": model.identity()})
    store = open_store(folder / "traces", model, score=plan.units[0].decoding["score"], seed=config.seed)
    describe = f"progressive ablation on {Path(config.model).name}, {config.task}"
    traces = run_stages(lambda _: plan, model, store, batch_size=config.batch_size, describe=describe, engine=engine, record=folder / ROLES)
    detection = require_detection(traces[DETECTION_ROLE])
    points = {commit: tuple(progressive_point(k, commit, traces, detection.ranking) for k in masked) for commit in COMMITS}
    rows = [point.as_json() for row in points.values() for point in row]
    write_json(folder / "results.json", {**detection_facts(detection, traces[DETECTION_ROLE]), "points": rows})
    return Progressive(points, folder)


def _masked(config: ProgressiveConfig, n_total: int) -> tuple[int, ...]:
    """Ascending numbers of heads to mask; those asked for, or the default for a model of this many heads."""
    chosen = config.masked or default_masked(n_total)
    wrong = [k for k in chosen if not 0 <= k <= n_total]
    if wrong:
        raise InputError(f"masked heads must lie between 0 and {n_total} (the heads of the model), got {wrong[0]}")
    return tuple(sorted(set(chosen)))
