"""The sensitivity grid of Eq. 2: a run for each sink and local window, a verdict for each threshold as well."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mechdyn.claims.sensitivity import LOCALS, SINKS, THRESHOLDS, SensitivityCell, judge_thresholds, window_plan
from mechdyn.errors import InputError
from mechdyn.models.load import load_model
from mechdyn.models.model import Model
from mechdyn.plans import Request
from mechdyn.runs.configs import SensitivityConfig
from mechdyn.runs.folder import open_run, write_json
from mechdyn.runs.requests import check_choices, check_samples, make_request
from mechdyn.runs.stages import run_stages
from mechdyn.runs.stores import open_store


@dataclass(frozen=True)
class Sensitivity:
    """A verdict for each setting, sinks outermost, thresholds innermost."""

    cells: tuple[SensitivityCell, ...]
    folder: Path


def sensitivity(config: SensitivityConfig, out: str | Path) -> Sensitivity:
    """Run and judge every setting; the folder holds `run.json`, a store for each sink and local window, and `results.json`.

    Raises:
        InputError: a task whose heads are not found by Eq. 2, an empty axis, or samples that the model cannot hold; nothing is written.
    """
    if config.task == "niah":
        raise InputError("the sensitivity grid is of Eq. 2, which scores questions; take the task world or hotpotqa")
    config = resolved(config)
    check_choices(config.task, config.style, config.data, lengths=config.lengths)
    model = load_model(config.model)
    request = make_request(
        model, preset=config.preset, lengths=config.lengths, seed=config.seed, task=config.task, style=config.style, data=config.data
    )
    check_samples(model, window_plan(request, config.sinks[0], config.locals[0]))
    folder = open_run(out, {**asdict(config), "model": model.identity()})
    cells: list[SensitivityCell] = []
    for sink in config.sinks:
        for local in config.locals:
            cells += _window(config, model, request, folder, sink, local)
    write_json(folder / "results.json", [cell.as_json() for cell in cells])
    return Sensitivity(tuple(cells), folder)


def resolved(config: SensitivityConfig) -> SensitivityConfig:
    """The config with the grid of DEFINITIONS on the axes that were left out."""
    return replace(config, sinks=config.sinks or SINKS, locals=config.locals or LOCALS, thresholds=config.thresholds or THRESHOLDS)


def _window(config: SensitivityConfig, model: Model, request: Request, folder: Path, sink: int, local: int) -> tuple[SensitivityCell, ...]:
    plan = window_plan(request, sink, local)
    name = window_name(sink, local)
    store = open_store(folder / name, model, score=plan.units[0].decoding["score"], seed=config.seed)
    describe = f"sink {sink}, local {local}"
    traces = run_stages(lambda _: plan, model, store, batch_size=config.batch_size, describe=describe, record=folder / f"{name}.json")
    return judge_thresholds(request, sink, local, traces, config.thresholds)


def window_name(sink: int, local: int) -> str:
    """What the store of a sink and local window is called; the file that lists its roles is named alike."""
    return f"traces-sink{sink}-local{local}"
