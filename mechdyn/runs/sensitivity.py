"""The sensitivity grid of Eq. 2: a run for each sink and local window, a verdict for each threshold as well."""

from dataclasses import dataclass
from pathlib import Path

from mechdyn.claims.sensitivity import LOCALS, SINKS, THRESHOLDS, SensitivityCell, judge_thresholds, window_plan
from mechdyn.errors import InputError
from mechdyn.runs.ablate import RESULTS
from mechdyn.runs.configs import SensitivityConfig
from mechdyn.runs.session import Session, chosen_task
from mechdyn.runs.site import HERE, Site


@dataclass(frozen=True)
class Sensitivity:
    """A verdict for each setting, sinks outermost, thresholds innermost."""

    cells: tuple[SensitivityCell, ...]
    folder: Path


def sensitivity(config: SensitivityConfig, out: str | Path | None = None, site: Site = HERE) -> Sensitivity:
    """Run and judge every setting; the folder holds `run.json`, a store for each sink and local window, and `results.json`.

    Raises:
        InputError: a task whose heads are not found by Eq. 2, an empty axis, or samples that the model cannot hold; nothing is written.
    """
    if chosen_task(config).score.partition(":")[0] != "reasoning" or config.score is not None:
        raise InputError("the sensitivity grid is of Eq. 2, which scores questions; take the task world or hotpotqa, and no other score")
    with Session.open(config, out, site) as run:
        run.resolve(sinks=config.sinks or SINKS, locals=config.locals or LOCALS, thresholds=config.thresholds or THRESHOLDS)
        cells: list[SensitivityCell] = []
        for sink in run.config.sinks:
            for local in run.config.locals:
                plan = window_plan(run.request, sink, local)
                traces = run.traces(plan, describe=f"sink {sink}, local {local}", store=window_name(sink, local))
                cells += judge_thresholds(run.request, sink, local, traces, run.config.thresholds)
        run.write(RESULTS, [cell.as_json() for cell in cells])
        return Sensitivity(tuple(cells), run.folder)


def window_name(sink: int, local: int) -> str:
    """What the store of a sink and local window is called; the file that lists its roles is named alike."""
    return f"traces-sink{sink}-local{local}"
