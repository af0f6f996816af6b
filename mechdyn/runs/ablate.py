"""The ablation grid: lengths x depths x runs under every condition, from one prefill a sample.

Figure 2 for needles. For questions (Figures 6 and 12 to 14) the columns are context lengths and the rows where the evidence lies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mechdyn.decoding.ablation import METHODS, Ablation, ReferenceActivations, reference_activations
from mechdyn.decoding.engines import make_engine
from mechdyn.errors import InputError
from mechdyn.models.load import load_model
from mechdyn.models.model import Model
from mechdyn.plans import Plan, Preset, chosen_preset
from mechdyn.runs.configs import AblateConfig
from mechdyn.runs.folder import open_run, write_json
from mechdyn.runs.requests import check_choices, check_samples, make_request
from mechdyn.runs.stages import ROLES, Traces, run_stages
from mechdyn.runs.stores import open_store
from mechdyn.schedules import NoAblation
from mechdyn.studies.conditions import CONDITIONS, DETECTION_ROLE, PRESETS, ZERO, Detection, detect, grid_plan
from mechdyn.studies.grid import GridRow, detection_facts, grid_rows
from mechdyn.tasks.build import build_sample
from mechdyn.traces.trace import Trace

_N_REFERENCES = 16
"""Prompts whose activations stand in for ablated heads under mean and resample."""


@dataclass(frozen=True, eq=False)
class AblationGrid:
    """What the grid gave: traces by role, and a row for each condition and commit rule."""

    traces: Traces
    detection: Detection
    rows: tuple[GridRow, ...]
    folder: Path


def ablate(config: AblateConfig, out: str | Path) -> AblationGrid:
    """Run the grid; the folder holds `run.json`, `traces/`, `static_heads.json` (layout of Wu et al.) and `results.json`.

    Run again, it goes on where it stopped.

    Raises:
        InputError: an unknown condition or method or none at all, options that the task has no use for, or a grid that the model cannot
            hold; nothing is written. Also where no detection sample is answered correctly, since there is nothing to rank then.
    """
    check_choices(config.task, config.style, config.data, config.haystack, config.lengths, config.depths)
    config = replace(config, conditions=config.conditions or CONDITIONS)
    preset = _preset(config)
    model = load_model(config.model)
    request = make_request(
        model, preset=config.preset, seed=config.seed, haystack=config.haystack, task=config.task, style=config.style, data=config.data
    )
    first = grid_plan(request, preset, {})
    check_samples(model, first)
    engine = make_engine(model, config.engine)
    folder = open_run(out, {**asdict(config), "model": model.identity()})
    how, reference = _how(config, model, first)
    traces = run_stages(
        lambda found: grid_plan(request, preset, found, config.conditions, how),
        model,
        open_store(folder / "traces", model, score=first.units[0].decoding["score"], seed=config.seed),
        batch_size=config.batch_size,
        describe=f"ablation on {Path(config.model).name}, {config.task}",
        reference=reference,
        engine=engine,
        record=folder / ROLES,
    )
    detection = require_detection(traces[DETECTION_ROLE])
    rows = grid_rows(traces)
    detection.ranking.save(folder / "static_heads.json")
    write_json(
        folder / "results.json", {**detection_facts(detection, traces[DETECTION_ROLE]), "conditions": [row.as_json() for row in rows]}
    )
    return AblationGrid(traces, detection, rows, folder)


def require_detection(traces: Sequence[Trace]) -> Detection:
    """What the detection set gave, or an error where it gave nothing."""
    detection = detect(traces)
    if detection is None:
        raise InputError(
            f"none of the {len(traces)} detection samples was answered correctly, so no static heads can be ranked; "
            "take shorter lengths, or a model that answers"
        )
    return detection


def _preset(config: AblateConfig) -> Preset:
    """The preset with the user's axes in place of its own, and the choices that need no model checked."""
    unknown = [name for name in config.conditions if name not in CONDITIONS]
    if unknown:
        raise InputError(f"conditions must be some of {', '.join(CONDITIONS)}, got {', '.join(unknown)}")
    if config.method not in METHODS:
        raise InputError(f"ablation method must be one of {', '.join(METHODS)}, got {config.method!r}")
    preset = chosen_preset(PRESETS, config.preset, config.lengths)
    return replace(preset, depths=config.depths or preset.depths, n_seeds=preset.n_seeds if config.runs is None else config.runs)


def _how(config: AblateConfig, model: Model, plan: Plan) -> tuple[Mapping[str, Any], ReferenceActivations | None]:
    """The ablation's JSON but for schedule and commit rule, and the activations of detection prompts where the method needs them."""
    if config.method == "zero":
        return ZERO, None
    reference = reference_activations(model, [build_sample(model, unit.sample) for unit in plan.units[:_N_REFERENCES]])
    content = Ablation(NoAblation(), method=config.method, reference=reference, seed=config.seed).as_json()
    return {name: content[name] for name in ("method", "scope", "reference", "seed")}, reference
